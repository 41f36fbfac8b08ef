//! The table's contract on AWS's own engine and on MiniStack.

use std::sync::Mutex;

use aws::DynamoTable;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use control::ports::MAX_TRANSACTION_BYTES;

use crate::support::{Emulator, config, unique};

/// So many tables the suite wants at most.
const TABLES: usize = 40;

/// Makes a table as the template does: only its keys matter here.
pub async fn create(client: &Client) -> String {
    let name = unique("penstock");
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    client
        .create_table()
        .table_name(&name)
        .attribute_definitions(attribute("pk"))
        .attribute_definitions(attribute("sk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    name
}

async fn keeps_the_contract(emulator: Emulator) {
    let Some(url) = emulator.url() else { return };
    let client = Client::new(&config(&url).await);
    let mut tables = Vec::new();
    for _ in 0..TABLES {
        tables.push(create(&client).await);
    }
    let tables = Mutex::new(tables);
    let make = || DynamoTable::new(client.clone(), tables.lock().unwrap().pop().unwrap());
    match emulator {
        Emulator::DynamoDb => testkit::contract::table(make).await,
        // It takes a request's JSON, where bodies are in base64, for the transaction's size.
        Emulator::MiniStack => testkit::contract::table_up_to(make, MAX_TRANSACTION_BYTES / 4 * 3 - 32 * 1024).await,
    }
}

#[tokio::test]
async fn keeps_the_contract_on_dynamodb_local() {
    keeps_the_contract(Emulator::DynamoDb).await;
}

#[tokio::test]
async fn keeps_the_contract_on_ministack() {
    keeps_the_contract(Emulator::MiniStack).await;
}
