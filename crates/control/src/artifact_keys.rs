//! Keys of artifacts, as CodePipeline makes them (semantics.md 12).

use uuid::Uuid;

/// `<pipeline name cut to 20>/<artifact name cut to 10>/<7 letters and digits>`.
pub fn artifact_key(pipeline: &str, artifact: &str, seed: Uuid) -> String {
    let cut = |text: &str, length: usize| text.chars().take(length).collect::<String>();
    let pipeline = match cut(pipeline, 20).as_str() {
        // Pipelines may be called so, but a part of a path would mean something else.
        dots @ ("." | "..") => dots.replace('.', "_"),
        plain => plain.to_owned(),
    };
    format!("{pipeline}/{}/{}", cut(artifact, 10), random_part(seed))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_never_mean_a_directory_itself() {
        let seed = Uuid::from_u128(1);
        let random = random_part(seed);
        for (pipeline, expected) in [
            ("web", "web"),
            (".", "_"),
            ("..", "__"),
            ("...", "..."),
            (".web", ".web"),
            ("a-name-of-more-than-twenty-characters", "a-name-of-more-than-"),
        ] {
            assert_eq!(artifact_key(pipeline, "BuildOutput12", seed), format!("{expected}/BuildOutpu/{random}"));
        }
    }
}
