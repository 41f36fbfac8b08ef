//! Names: shared, cheap to copy, told apart by their types.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(SmolStr);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == **other
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    };
}

name!(
    /// The name of a pipeline, unique in an account and region; 1–100 of `[A-Za-z0-9.@\-_]`.
    PipelineName
);
name!(
    /// The name of a stage, unique in its pipeline.
    StageName
);
name!(
    /// The name of an action, unique in its stage; also that of a rule, unique in its condition.
    ActionName
);
name!(
    /// The name of an artifact, produced once in a pipeline.
    ArtifactName
);
name!(
    /// The namespace under which an action's output variables are read (`#{namespace.key}`).
    Namespace
);
name!(
    /// Who does the work of an action or rule type, as `CodeBuild`.
    ProviderName
);
name!(
    /// The version of an action or rule type.
    TypeVersion
);
