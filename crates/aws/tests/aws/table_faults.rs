//! The table when something goes wrong: what each failure means, and that a repetition is the same request.

use aws::DynamoTable;
use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::Client;
use bytes::Bytes;
use control::ports::{Condition, Key, MAX_ITEM_BYTES, PortError, Query, Table, Write};
use serde_json::{Value, json};

use crate::front::{Fate, Front, Request};
use crate::support::{Emulator, config};
use crate::table::create;

fn key(sk: &str) -> Key {
    Key { pk: "p".into(), sk: sk.into() }
}

fn put(sk: &str, revision: u64, condition: Condition) -> Write {
    Write::Put { key: key(sk), revision, body: Bytes::from(format!("{revision}")), condition }
}

/// Reasons of a cancellation.
fn cancelled(codes: &[&str]) -> Fate {
    let reasons: Vec<_> =
        codes.iter().map(|code| json!({ "Code": code, "Message": format!("{code} it is") })).collect();
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled", "CancellationReasons": reasons,
    });
    Fate::json(400, body.to_string())
}

fn same(requests: &[Request]) -> bool {
    requests.windows(2).all(|pair| pair[0].body == pair[1].body)
}

async fn fake(otherwise: Fate) -> (Front, DynamoTable) {
    let front = Front::instead(otherwise).await;
    let table = DynamoTable::new(Client::new(&config(&front.url).await), "penstock");
    (front, table)
}

/// The name of a failure, without its text.
fn kind(answer: &Result<(), PortError>) -> &'static str {
    match answer {
        Ok(()) => "Ok",
        Err(PortError::Conflict) => "Conflict",
        Err(PortError::Throttled) => "Throttled",
        Err(PortError::Unavailable(_)) => "Unavailable",
        Err(PortError::Invalid(_)) => "Invalid",
        Err(PortError::NotFound(_) | PortError::Corrupt(_) | PortError::Newer(_)) => "other",
    }
}

/// Each way for a transaction to fail: what it means, and after how many requests.
#[tokio::test]
async fn failures_mean_what_the_caller_can_do() {
    let ok = || Fate::json(200, "{}");
    let failed = |status, code: &str| Fate::error(status, code);
    let cases: Vec<(Vec<Fate>, &str, usize)> = vec![
        (vec![cancelled(&["None", "ConditionalCheckFailed"])], "Conflict", 1),
        (vec![cancelled(&["TransactionConflict", "ConditionalCheckFailed"])], "Conflict", 1),
        (vec![cancelled(&["ValidationError", "ConditionalCheckFailed"])], "Conflict", 1),
        (vec![cancelled(&["None", "ValidationError"])], "Invalid", 1),
        (vec![cancelled(&["ValidationError", "TransactionConflict"])], "Invalid", 1),
        (vec![cancelled(&["ItemCollectionSizeLimitExceeded"])], "Invalid", 1),
        (vec![cancelled(&["SomethingNew"])], "Unavailable", 1),
        (vec![cancelled(&["TransactionConflict", "None"]), cancelled(&["None", "TransactionConflict"]), ok()], "Ok", 3),
        (vec![cancelled(&["TransactionConflict"]), cancelled(&["ConditionalCheckFailed"])], "Conflict", 2),
        (vec![cancelled(&["TransactionConflict"]); 6], "Throttled", 6),
        (vec![cancelled(&["ThrottlingError"]), cancelled(&["ProvisionedThroughputExceeded"]), ok()], "Ok", 3),
        (vec![cancelled(&["ThrottlingError", "TransactionConflict"]); 6], "Throttled", 6),
        (vec![failed(400, "IdempotentParameterMismatchException")], "Invalid", 1),
        (vec![failed(400, "ValidationException")], "Invalid", 1),
        (vec![failed(400, "ThrottlingException"); 3], "Throttled", 3),
        (vec![failed(400, "ProvisionedThroughputExceededException"), ok()], "Ok", 2),
        (vec![failed(400, "TransactionInProgressException"), ok()], "Ok", 2),
        (vec![failed(400, "TransactionInProgressException"); 3], "Unavailable", 3),
        (vec![failed(500, "InternalServerError"), failed(503, "ServiceUnavailable"), ok()], "Ok", 3),
        (vec![failed(500, "InternalServerError"); 3], "Unavailable", 3),
        (vec![Fate::Lose, Fate::Lose, ok()], "Ok", 3),
        (vec![Fate::Lose; 3], "Unavailable", 3),
        (vec![failed(400, "ResourceNotFoundException")], "Unavailable", 1),
        (vec![failed(400, "AccessDeniedException")], "Unavailable", 1),
    ];
    let (front, table) = fake(Fate::error(418, "NotExpected")).await;
    let writes = [put("a", 1, Condition::Absent), put("b", 4, Condition::Revision(3))];
    for (number, (fates, expected, requests)) in cases.into_iter().enumerate() {
        let what = format!("{fates:?}");
        front.next(fates);
        let answer = table.transact(&format!("token-{number}"), &writes).await;
        assert_eq!(kind(&answer), expected, "{what}: {answer:?}");
        let sent = front.requests();
        assert_eq!(sent.len(), requests, "{what}");
        assert!(same(&sent), "a repetition is the same request, byte for byte");
    }
}

#[tokio::test]
async fn errors_name_the_table_and_the_reason() {
    let (front, table) = fake(Fate::error(400, "AccessDeniedException")).await;
    let said = |answer: Result<(), PortError>| answer.unwrap_err().to_string();
    let expected = "the table penstock (AccessDeniedException: because) is unavailable";
    assert_eq!(said(table.transact("t", &[put("a", 1, Condition::Absent)]).await), expected);
    assert_eq!(said(table.get(&key("a")).await.map(|_| ())), expected);
    let query = Query { pk: "p".into(), prefix: String::new(), after: None, limit: 1, backward: false };
    assert_eq!(said(table.query(&query).await.map(|_| ())), expected);
    front.next([cancelled(&["None", "ValidationError"])]);
    let expected = "the table penstock refused the transaction (ValidationError: ValidationError it is)";
    assert_eq!(said(table.transact("t", &[put("a", 1, Condition::Absent)]).await), expected);
}

/// The table's own removal spares the sweep; what it may not remove bears no time.
#[tokio::test]
async fn what_may_go_by_itself_says_when() {
    let (front, table) = fake(Fate::json(200, "{}")).await;
    let at = 1_795_521_600_000_i64;
    let record = Key { pk: "1/eu-west-1/audit/2026-11-24".into(), sk: format!("{at:016x}#id") };
    let delivery = Key { pk: "1/eu-west-1/deliveries/hook".into(), sk: "id".into() };
    let received = Bytes::from(format!("1{{\"received_at\":{at}}}"));
    let puts = [(record, Bytes::from_static(b"1{}")), (delivery, received), (key("a"), Bytes::from_static(b"1{}"))];
    let puts = puts.map(|(key, body)| Write::Put { key, revision: 1, body, condition: Condition::Always });
    table.transact("t", &puts).await.unwrap();
    let body: Value = serde_json::from_str(front.requests()[0].text()).unwrap();
    let ttl = |index: usize| body["TransactItems"][index]["Put"]["Item"]["ttl"].clone();
    assert_eq!([ttl(0), ttl(1), ttl(2)], [json!({ "N": "1803340801" }), json!({ "N": "1798113601" }), Value::Null]);
    let template = include_str!("../../../../template.yaml");
    assert!(template.contains("TimeToLiveSpecification: {AttributeName: ttl, Enabled: true}"));
}

/// Tokens are within DynamoDB's limit, the same for the same request only, and not shared with other tables.
#[tokio::test]
async fn tokens_fit_and_differ() {
    let (front, table) = fake(Fate::json(200, "{}")).await;
    let other = DynamoTable::new(Client::new(&config(&front.url).await), "other");
    let long = "x".repeat(500);
    let mut tokens = Vec::new();
    for token in ["t", "u", "", &long, &long[1..], "t"] {
        table.transact(token, &[put("a", 1, Condition::Always)]).await.unwrap();
    }
    other.transact("t", &[put("a", 1, Condition::Always)]).await.unwrap();
    for request in front.requests() {
        let body: Value = serde_json::from_str(request.text()).unwrap();
        let token = body["ClientRequestToken"].as_str().unwrap().to_owned();
        assert!((1..=36).contains(&token.len()), "{token}");
        tokens.push(token);
    }
    assert_eq!(tokens[0], tokens[5]);
    tokens.remove(5);
    let all: std::collections::HashSet<_> = tokens.iter().collect();
    assert_eq!(all.len(), tokens.len());
}

/// What breaks a limit is refused before anything is sent, and so is what needs no sending.
#[tokio::test]
async fn nothing_is_sent_in_vain() {
    let (front, table) = fake(Fate::json(200, "{}")).await;
    let twice = [put("a", 1, Condition::Always), Write::Delete { key: key("a"), condition: Condition::Always }];
    assert!(matches!(table.transact("t", &twice).await, Err(PortError::Invalid(_))));
    table.transact("t", &[]).await.unwrap();
    table.transact("t", &[Write::Check { key: key("a"), condition: Condition::Always }]).await.unwrap();
    let nowhere = Query { pk: "p".into(), prefix: "b".into(), after: Some("c".into()), limit: 1, backward: false };
    assert!(table.query(&nowhere).await.unwrap().items.is_empty());
    table.flush().await.unwrap();
    assert!(front.requests().is_empty());
}

/// What is stored but cannot be read is named.
#[tokio::test]
async fn corrupt_items_are_named() {
    let (front, table) = fake(Fate::json(200, "{}")).await;
    let item = |item: Value| front.next([Fate::json(200, json!({ "Item": item }).to_string())]);
    item(json!({ "pk": { "S": "p" }, "sk": { "S": "a" }, "rev": { "N": "1.5" }, "body": { "B": "" } }));
    let said = table.get(&key("a")).await.unwrap_err().to_string();
    assert_eq!(said, r#"the item "a" (revision "1.5") is corrupt"#);
    item(json!({ "pk": { "S": "p" }, "sk": { "S": "a" }, "rev": { "N": "1" } }));
    let said = table.get(&key("a")).await.unwrap_err().to_string();
    assert_eq!(said, r#"the item "a" (it has no revision or no body) is corrupt"#);
}

async fn before(emulator: Emulator, attempts: u32) -> Option<(Front, DynamoTable)> {
    let url = emulator.url()?;
    let name = create(&Client::new(&config(&url).await)).await;
    let front = Front::before(&url).await;
    let retries = RetryConfig::standard().with_max_attempts(attempts);
    let builder = aws_sdk_dynamodb::config::Builder::from(&config(&front.url).await).retry_config(retries);
    Some((front, DynamoTable::new(Client::from_conf(builder.build()), name)))
}

async fn lost_answers(emulator: Emulator) {
    // The SDK repeats by itself.
    let Some((front, table)) = before(emulator, 3).await else { return };
    front.next([Fate::LoseAnswer, Fate::LoseAnswer]);
    table.transact("1", &[put("a", 1, Condition::Absent), put("b", 1, Condition::Absent)]).await.unwrap();
    let sent = front.requests();
    assert_eq!(sent.len(), 3);
    assert!(same(&sent));
    // The caller repeats; in between nobody knows.
    let (front, table) = before(emulator, 1).await.unwrap();
    let writes = [put("a", 1, Condition::Absent), Write::Check { key: key("b"), condition: Condition::Absent }];
    front.next([Fate::LoseAnswer]);
    let answer = table.transact("1", &writes).await;
    assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
    assert_eq!(table.get(&key("a")).await.unwrap().unwrap().revision, 1, "it was carried out all the same");
    table.transact("2", &[put("a", 2, Condition::Revision(1))]).await.unwrap();
    table.transact("1", &writes).await.expect("repeated byte for byte it does nothing more");
    assert_eq!(table.get(&key("a")).await.unwrap().unwrap().revision, 2);
    // One write is no exception: a condition that the write itself undid must not refuse the repetition.
    front.next([Fate::LoseAnswer]);
    let one = [Write::Delete { key: key("a"), condition: Condition::Present }];
    assert!(table.transact("3", &one).await.is_err());
    table.transact("3", &one).await.unwrap();
    // What never arrived is carried out by the repetition.
    front.next([Fate::Lose]);
    let two = [put("c", 1, Condition::Absent)];
    assert!(table.transact("4", &two).await.is_err());
    assert_eq!(table.get(&key("c")).await.unwrap(), None);
    table.transact("4", &two).await.unwrap();
    assert_eq!(table.get(&key("c")).await.unwrap().unwrap().revision, 1);
}

#[tokio::test]
async fn lost_answers_on_dynamodb_local() {
    lost_answers(Emulator::DynamoDb).await;
}

#[tokio::test]
async fn lost_answers_on_ministack() {
    lost_answers(Emulator::MiniStack).await;
}

/// Transactions in each other's way wait for each other: none is refused without a condition that failed.
async fn crowds(emulator: Emulator) {
    const WRITERS: u64 = 12;
    let Some((_, table)) = before(emulator, 3).await else { return };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=WRITERS {
        let table = table.clone();
        writers.spawn(async move {
            let own = put(&format!("own-{writer}"), 1, Condition::Absent);
            table.transact(&format!("{writer}"), &[put("shared", writer, Condition::Always), own]).await
        });
    }
    while let Some(answer) = writers.join_next().await {
        answer.unwrap().unwrap();
    }
    let query = Query { pk: "p".into(), prefix: "own-".into(), after: None, limit: 100, backward: false };
    assert_eq!(table.query(&query).await.unwrap().items.len() as u64, WRITERS);
}

#[tokio::test]
async fn crowds_on_dynamodb_local() {
    crowds(Emulator::DynamoDb).await;
}

#[tokio::test]
async fn crowds_on_ministack() {
    crowds(Emulator::MiniStack).await;
}

/// Every operation on small things is one request, and a page one more for each MiB.
#[tokio::test]
async fn requests_are_few() {
    let Some((front, table)) = before(Emulator::DynamoDb, 3).await else { return };
    let operation = |request: &Request| {
        let operation = request.operation().to_owned();
        let reads = ["GetItem", "Query"].contains(&operation.as_str());
        assert_eq!(request.text().contains(r#""ConsistentRead":true"#), reads, "{}", request.text());
        operation
    };
    let operations = || front.requests().iter().map(operation).collect::<Vec<_>>();
    let many: Vec<_> = (0..100).map(|n| put(&format!("{n:03}"), 1, Condition::Absent)).collect();
    table.transact("1", &many).await.unwrap();
    table.transact("2", &many[..1]).await.unwrap_err();
    assert_eq!(operations(), ["TransactWriteItems"; 2]);
    table.get(&key("000")).await.unwrap();
    table.get(&key("none")).await.unwrap();
    assert_eq!(operations(), ["GetItem"; 2]);
    for (prefix, limit, after) in
        [("", 1000, None), ("", 1, None), ("0", 50, Some("049")), ("none", 10, None), ("", 100, None)]
    {
        for backward in [false, true] {
            let after = after.map(str::to_owned);
            table.query(&Query { pk: "p".into(), prefix: prefix.into(), after, limit, backward }).await.unwrap();
            assert_eq!(operations(), ["Query"], "prefix {prefix:?}, limit {limit}, backward {backward}");
        }
    }
    table.flush().await.unwrap();
    assert!(operations().is_empty());
    // Three items reach a page's size, and the fourth says that there are more.
    for n in 0..6 {
        let body = Bytes::from(vec![b'x'; MAX_ITEM_BYTES - 10]);
        let large = Write::Put { key: key(&format!("large-{n}")), revision: 1, body, condition: Condition::Absent };
        table.transact(&format!("large-{n}"), &[large]).await.unwrap();
    }
    operations();
    let large = Query { pk: "p".into(), prefix: "large-".into(), after: None, limit: 1000, backward: false };
    let page = table.query(&large).await.unwrap();
    assert_eq!((page.items.len(), page.more), (3, true));
    assert!(operations().len() <= 2);
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| key(name)).collect()
}

/// What a batch left undone is asked for again, and only that.
#[tokio::test]
async fn batches_are_finished() {
    let (front, table) = fake(Fate::error(418, "NotExpected")).await;
    let stored =
        |sk: &str| json!({ "pk": { "S": "p" }, "sk": { "S": sk }, "rev": { "N": "1" }, "body": { "B": "eA==" } });
    let at = |sk: &str| json!({ "pk": { "S": "p" }, "sk": { "S": sk } });
    let answer = |found: &[&str], left: &[&str]| {
        let found: Vec<_> = found.iter().map(|sk| stored(sk)).collect();
        let left: Vec<_> = left.iter().map(|sk| at(sk)).collect();
        let left = if left.is_empty() { json!({}) } else { json!({ "penstock": { "Keys": left } }) };
        Fate::json(200, json!({ "Responses": { "penstock": found }, "UnprocessedKeys": left }).to_string())
    };
    front.next([answer(&["b"], &["c", "a"]), answer(&[], &["c", "a"]), answer(&["a"], &[])]);
    let found = table.get_many(&keys(&["a", "b", "c"])).await.unwrap();
    let there: Vec<_> = found.iter().map(Option::is_some).collect();
    assert_eq!(there, [true, true, false]);
    let asked = |request: &Request| {
        let body: Value = serde_json::from_str(request.text()).unwrap();
        let wanted = &body["RequestItems"]["penstock"];
        assert_eq!(wanted["ConsistentRead"], true, "also what is asked for again is read consistently");
        wanted["Keys"].as_array().unwrap().len()
    };
    assert_eq!(front.requests().iter().map(asked).collect::<Vec<_>>(), [3, 2, 2]);
    front.next((0..20).map(|_| answer(&[], &["a"])));
    assert!(matches!(table.get_many(&keys(&["a"])).await, Err(PortError::Throttled)));
}

/// What removes items that nothing depends on needs no transaction.
#[tokio::test]
async fn removals_are_cheap_and_finished() {
    let (front, table) = fake(Fate::error(418, "NotExpected")).await;
    let removals = |count: usize| {
        let remove = |n| Write::Delete { key: key(&format!("{n}")), condition: Condition::Always };
        (0..count).map(remove).collect::<Vec<_>>()
    };
    front.next([Fate::json(200, "{}")]);
    table.transact("1", &removals(1)).await.unwrap();
    let left = json!({ "penstock": [{ "DeleteRequest": { "Key": { "pk": { "S": "p" }, "sk": { "S": "3" } } } }] });
    let left = Fate::json(200, json!({ "UnprocessedItems": left }).to_string());
    front.next([left, Fate::json(200, "{}"), Fate::json(200, "{}")]);
    table.transact("2", &removals(30)).await.unwrap();
    let removed = |request: &Request| {
        let body: Value = serde_json::from_str(request.text()).unwrap();
        (request.operation().to_owned(), body["RequestItems"]["penstock"].as_array().map_or(1, Vec::len))
    };
    let expected = [("DeleteItem", 1), ("BatchWriteItem", 25), ("BatchWriteItem", 1), ("BatchWriteItem", 5)];
    let expected = expected.map(|(operation, count)| (operation.to_owned(), count));
    assert_eq!(front.requests().iter().map(removed).collect::<Vec<_>>(), expected);
    // With a condition, or beside any other write, it is one transaction.
    front.next([Fate::json(200, "{}"), Fate::json(200, "{}")]);
    table.transact("3", &[Write::Delete { key: key("a"), condition: Condition::Present }]).await.unwrap();
    table.transact("4", &[removals(1), vec![put("a", 1, Condition::Always)]].concat()).await.unwrap();
    let operations: Vec<_> = front.requests().iter().map(|request| request.operation().to_owned()).collect();
    assert_eq!(operations, ["TransactWriteItems"; 2]);
}
