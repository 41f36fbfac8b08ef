use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn parse(text: &str) -> Result<CredentialsFile, (usize, String)> {
    CredentialsFile::parse(text, "123456789012")
}

const KEY: &str = "AKIDEXAMPLE00000";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[test]
fn profiles_of_aws_files_are_read() {
    let text = format!(
        "# a comment\n; another\n\n[default]\naws_access_key_id={KEY}\n aws_secret_access_key = {SECRET} \nregion = x\n\
         [profile ci]\naws_access_key_id = {KEY}2\naws_secret_access_key = {SECRET}\naws_session_token = a=b==\n\
         [assumes]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = default\n"
    );
    let file = parse(&text).unwrap();
    let default = file.find(KEY).unwrap();
    assert_eq!(default.principal, "arn:aws:iam::123456789012:user/default");
    assert_eq!(default.secret.expose(), SECRET);
    let ci = file.find("AKIDEXAMPLE000002").unwrap();
    assert_eq!(ci.principal, "arn:aws:iam::123456789012:user/ci");
    assert!(ci.session_token.as_ref().unwrap().is("a=b=="));
    assert!(file.find("AKIDOTHER").is_none());
}

#[test]
fn faults_name_their_line_and_never_a_secret() {
    let key = format!("aws_access_key_id = {KEY}\n");
    let secret = format!("aws_secret_access_key = {SECRET}\n");
    let cases = [
        (String::new(), 1, "nobody could sign"),
        ("[a]\nregion = x\n".to_owned(), 1, "nobody could sign"),
        (key.clone(), 1, "[PROFILE] must come first"),
        (format!("[a]\n{key}"), 1, "no aws_secret_access_key"),
        (format!("\n[a]\n{secret}"), 2, "no aws_access_key_id"),
        (format!("[a]\n{key}{key}{secret}"), 3, "stands twice"),
        (format!("[a]\n{key}{secret}{SECRET}\n"), 4, "NAME = VALUE"),
        (format!("[a b/c]\n{key}{secret}"), 1, "profile's name"),
        (format!("[a]\naws_access_key_id = {SECRET}\n{secret}"), 2, "letters and digits"),
        (format!("[a]\n{key}{secret}[b]\n{key}{secret}"), 4, "earlier profile"),
    ];
    for (text, line, part) in cases {
        let (at, message) = parse(&text).unwrap_err();
        assert_eq!(at, line, "{text}: {message}");
        assert!(message.contains(part) && !message.contains(SECRET), "{text}: {message}");
    }
}

#[test]
fn a_missing_file_is_made_private_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    let first = CredentialsFile::load_or_make(&path, "123456789012").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let second = CredentialsFile::load_or_make(&path, "123456789012").unwrap();
    assert_eq!(text, std::fs::read_to_string(&path).unwrap());
    let (key, credential) = first.by_access_key.iter().next().unwrap();
    assert_eq!(second.find(key).unwrap().secret, credential.secret);
    assert_eq!(credential.secret.expose().len(), 40);
    assert_eq!(key.len(), 20);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let other = CredentialsFile::load_or_make(&folder.path().join("other"), "123456789012").unwrap();
    assert!(other.find(key).is_none());
}

#[test]
fn files_that_others_may_read_are_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    CredentialsFile::load_or_make(&path, "123456789012").unwrap();
    for mode in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = CredentialsFile::load_or_make(&path, "123456789012").unwrap_err();
        assert!(error.to_string().ends_with(&format!("run: chmod 600 {}", path.display())), "{error}");
    }
    std::fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    assert!(CredentialsFile::load_or_make(&path, "123456789012").is_ok());
}

#[test]
fn what_is_no_file_or_has_no_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_private(folder.path()), Err(CredentialsError::Io { .. })));
    let error = CredentialsFile::load_or_make(&folder.path().join("no/such/folder"), "1").unwrap_err();
    assert!(error.to_string().contains("no/such/folder"), "{error}");
}

#[test]
fn of_two_that_make_a_file_one_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let other = path.clone();
    let text = read_or_make_private(&path, || {
        read_or_make_private(&other, || Ok("first".into())).map_err(std::io::Error::other).map(|_| "second".into())
    });
    assert_eq!(text.unwrap(), "first");
}
