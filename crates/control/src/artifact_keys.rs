//! Keys of artifacts, as CodePipeline makes them (semantics.md 12).

use uuid::Uuid;

/// `<pipeline name cut to 20>/<artifact name cut to 10>/<7 letters and digits>`.
pub fn artifact_key(pipeline: &str, artifact: &str, seed: Uuid) -> String {
    let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
    format!("{}/{}/{}", cut(pipeline, 20), cut(artifact, 10), random_part(seed))
}

/// Seven letters and digits.
fn random_part(seed: Uuid) -> String {
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut rest = seed.as_u128();
    let letters = (0..7).map(|_| {
        let place = usize::try_from(rest % 62).unwrap_or(0);
        rest /= 62;
        char::from(LETTERS[place])
    });
    letters.collect()
}
