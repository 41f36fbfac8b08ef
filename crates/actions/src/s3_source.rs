//! The S3 source: one version of one object, as it is.

use async_trait::async_trait;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use control::ports::{ActionReply, ActionRequest};
use engine::{ArtifactLocation, Outcome, SourceRevision};
use model::{SourceRevisionType, StringMap, Timestamp};

use crate::configuration::{Settings, console, region};
use crate::fault::Fault;
use crate::objects::{Objects, Storing, Version};
use crate::registry::Provider;
use crate::roles::Session;
use crate::runner::{Guarantee, ProviderParts, ended};

/// Where an object's user may say what is in it.
const SUMMARY_METADATA: &str = "codepipeline-artifact-revision-summary";
/// The most characters of a revision's summary (`ArtifactRevision.revisionSummary`).
pub(crate) const SUMMARY_CHARACTERS: usize = 2048;

/// The S3 source.
pub(crate) struct S3Source;

/// Which object to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    bucket: String,
    key: String,
    /// A version asked for or told by the event; the newest when none.
    version: Option<String>,
}

#[async_trait]
impl Provider for S3Source {
    /// The same object is put under the claimed key again.
    fn guarantee(&self) -> Guarantee {
        Guarantee::Token
    }

    async fn start(&self, parts: &ProviderParts, request: &ActionRequest) -> Result<ActionReply, Fault> {
        let wanted = wanted(request)?;
        let output = Settings(request).output()?;
        let config = parts.roles.config(&Session::of(request)).await?;
        let objects = Objects::new(&config, &request.role_arn);
        let head = objects.head(&wanted.bucket, &wanted.key, wanted.version.as_deref()).await?;
        let head = head.ok_or_else(|| gone(&wanted))?;
        let found = found(wanted, &head);
        let storing = Storing { kms_key: request.encryption_key.clone(), ..Storing::default() };
        let digest = objects.copy(&found, &output.bucket, &output.key, &storing).await?;
        Ok(ended(brought(request, output, &found, &head, digest)))
    }
}

fn wanted(request: &ActionRequest) -> Result<Wanted, Fault> {
    let settings = Settings(request);
    let bucket = settings.required("S3Bucket")?.to_owned();
    let key = settings.required("S3ObjectKey")?.to_owned();
    let Some(asked) = &request.source_override else {
        return Ok(Wanted { bucket, key, version: request.pushed_commit.clone() });
    };
    match asked.kind {
        SourceRevisionType::S3ObjectVersionId => Ok(Wanted { bucket, key, version: Some(asked.value.clone()) }),
        SourceRevisionType::S3ObjectKey if settings.boolean("AllowOverrideForS3ObjectKey")? == Some(true) => {
            Ok(Wanted { bucket, key: asked.value.clone(), version: None })
        }
        SourceRevisionType::S3ObjectKey => {
            let wrong = "must be \"true\" for another object key to be taken";
            Err(settings.fault("AllowOverrideForS3ObjectKey", wrong))
        }
        SourceRevisionType::CommitId | SourceRevisionType::ImageDigest => Err(Fault::configuration(format!(
            "an S3 source takes an S3_OBJECT_VERSION_ID or S3_OBJECT_KEY, not a {}",
            asked.kind
        ))),
    }
}

fn gone(wanted: &Wanted) -> Fault {
    let Wanted { bucket, key, version } = wanted;
    Fault::revision(match version {
        Some(version) => format!("s3://{bucket}/{key} has no version {version} (any more)"),
        None => format!("s3://{bucket}/{key} is not there"),
    })
}

/// The version that is there. In a bucket without versions its content is pinned by the ETag.
fn found(wanted: Wanted, head: &HeadObjectOutput) -> Version {
    let there = head.version_id().filter(|id| *id != "null").map(str::to_owned);
    Version {
        bucket: wanted.bucket,
        key: wanted.key,
        version: there.or(wanted.version),
        etag: head.e_tag().map(str::to_owned),
        size: head.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
    }
}

fn brought(
    request: &ActionRequest,
    output: &ArtifactLocation,
    found: &Version,
    head: &HeadObjectOutput,
    digest: Option<String>,
) -> Outcome {
    let etag = found.etag.as_deref().unwrap_or_default().trim_matches('"').to_owned();
    let revision_id = found.version.clone().unwrap_or_else(|| etag.clone());
    let said = head.metadata().and_then(|metadata| metadata.get(SUMMARY_METADATA)).filter(|said| !said.is_empty());
    let summary = said.cloned().unwrap_or_else(|| format!("Amazon S3 version id: {revision_id}"));
    let summary: String = summary.chars().take(SUMMARY_CHARACTERS).collect();
    let page = format!("s3/object/{}?prefix={}", found.bucket, found.key);
    let url = console(region(request), &page);
    let created = head.last_modified().and_then(|at| at.to_millis().ok()).map(Timestamp);
    Outcome {
        external_id: Some(revision_id.clone()),
        external_url: Some(url.clone()),
        summary: Some(summary.clone()),
        revision: Some(SourceRevision {
            action: request.declaration.name.clone(),
            artifact: Some(output.name.clone()),
            revision_id: revision_id.clone(),
            summary: Some(summary),
            url: Some(url),
            created,
        }),
        outputs: vec![ArtifactLocation {
            digest,
            size: Some(found.size),
            revision: Some(revision_id),
            ..output.clone()
        }],
        variables: StringMap::from([
            ("BucketName".into(), found.bucket.clone()),
            ("ETag".into(), etag),
            ("ObjectKey".into(), found.key.clone()),
            ("VersionId".into(), found.version.clone().unwrap_or_else(|| "null".into())),
        ]),
        ..Outcome::default()
    }
}

#[cfg(test)]
mod tests;
