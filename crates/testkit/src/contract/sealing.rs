//! The contract of [`Sealer`].

#![expect(clippy::expect_used, reason = "a contract suite is a test: a panic is its verdict")]

use control::ports::PortError;
use control::sealing::Sealer;

/// What every sealer keeps.
pub async fn sealing(sealer: &dyn Sealer) {
    let long = "0123456789".repeat(5_000);
    for secret in ["hunter2", "ü\n\0 ", &long] {
        let sealed = sealer.seal("1/p/Build/Make/Pin", secret).await.expect("sealed");
        assert!(!sealed.contains(secret), "a sealed secret is not to be read");
        assert_eq!(sealer.open("1/p/Build/Make/Pin", &sealed).await.expect("opened"), secret);
        for elsewhere in ["1/p/Build/Make/Pim", "2/p/Build/Make/Pin", ""] {
            let moved = sealer.open(elsewhere, &sealed).await;
            assert!(matches!(moved, Err(PortError::Corrupt(_))), "it opens at {elsewhere:?}");
        }
        for wrong in ["", "x", sealed.get(..sealed.len() / 2).unwrap_or_default()] {
            let opened = sealer.open("1/p/Build/Make/Pin", wrong).await;
            assert!(matches!(opened, Err(PortError::Corrupt(_))), "half a sealed secret opens");
        }
        let again = sealer.seal("1/p/Build/Make/Pin", secret).await.expect("sealed");
        assert_ne!(again, sealed, "whoever sees both must not see that they are the same");
    }
}

/// What every sealer keeps beside [`sealing`]; an emulator of KMS does not.
pub async fn sealing_tells_changes(sealer: &dyn Sealer) {
    let sealed = sealer.seal("place", "hunter2").await.expect("sealed");
    for index in 0..sealed.len() {
        let mut changed = sealed.clone().into_bytes();
        changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).expect("still text");
        let opened = sealer.open("place", &changed).await;
        assert!(matches!(opened, Err(PortError::Corrupt(_))), "one that was changed at {index} opens");
    }
}
