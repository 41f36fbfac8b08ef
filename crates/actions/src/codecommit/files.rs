//! A commit's files as an archive. CodeCommit gives no archive of a commit: folders are looked through, and each file is
//! asked for by itself.

use std::path::Path;

use aws_sdk_codecommit::error::ProvideErrorMetadata;
use aws_sdk_codecommit::operation::get_folder::GetFolderOutput;
use aws_sdk_codecommit::types::FileModeTypeEnum;
use futures::StreamExt as _;
use tokio::sync::mpsc::{self, Receiver, Sender};

use super::Repository;
use crate::archive::{Packing, below_root};
use crate::fault::Fault;
use crate::git_source::MAX_ARCHIVE_BYTES;

/// How many files are asked for at a time.
const AT_A_TIME: usize = 16;
/// The most files that are asked for: more would not come within the time that a function has.
const MAX_FILES: usize = 20_000;

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    /// Its path below the root.
    path: String,
    /// Its content's id.
    blob: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Executable,
    Link,
}

/// Writes the files of a commit to an archive. Submodules are left out, as git's own archives do.
pub(super) async fn archive(repository: &Repository<'_>, commit: &str, to: &Path) -> Result<(), Fault> {
    let files = list(repository, commit).await?;
    let (sender, receiver) = mpsc::channel(1);
    let to = to.to_owned();
    let packing = tokio::task::spawn_blocking(move || pack(receiver, &to));
    let fetched = fetch(repository, files, sender).await;
    let packed = packing.await.map_err(|error| Fault::Later(error.to_string()))?;
    fetched.and(packed)
}

/// All files of a commit, sorted by path.
async fn list(repository: &Repository<'_>, commit: &str) -> Result<Vec<Found>, Fault> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while !folders.is_empty() {
        let asked = std::mem::take(&mut folders);
        let mut looking = futures::stream::iter(asked)
            .map(|path| async move { repository.folder(commit, &path).await })
            .buffer_unordered(AT_A_TIME);
        while let Some(folder) = looking.next().await {
            let folder = folder?;
            folders.extend(folder.sub_folders().iter().filter_map(|folder| folder.absolute_path().map(Into::into)));
            files.extend(files_of(&folder));
            if files.len() > MAX_FILES {
                return Err(Fault::job(format!(
                    "the CodeCommit repository {} has more than {MAX_FILES} files, each of which is asked for by itself; \
                     OutputArtifactFormat CODEBUILD_CLONE_REF lets CodeBuild clone it",
                    repository.name
                )));
            }
        }
    }
    for file in &mut files {
        let path = below_root(file.path.trim_start_matches('/'));
        file.path = path.map_err(|wrong| Fault::job(format!("{}: `{}` {wrong}", repository.name, file.path)))?;
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    // A link may be told among the files, too.
    files.dedup_by(|one, other| one.path == other.path);
    Ok(files)
}

fn files_of(folder: &GetFolderOutput) -> impl Iterator<Item = Found> {
    let found = |path: Option<&str>, blob: Option<&str>, kind| {
        Some(Found { path: path?.to_owned(), blob: blob?.to_owned(), kind })
    };
    let kind = |mode: Option<&FileModeTypeEnum>| match mode {
        Some(FileModeTypeEnum::Executable) => Kind::Executable,
        Some(FileModeTypeEnum::Symlink) => Kind::Link,
        _ => Kind::Plain,
    };
    let links = folder.symbolic_links().iter();
    let links = links.filter_map(move |link| found(link.absolute_path(), link.blob_id(), Kind::Link));
    let files = folder.files().iter();
    links.chain(files.filter_map(move |file| found(file.absolute_path(), file.blob_id(), kind(file.file_mode()))))
}

/// Asks for each file's content, in order, and sends it on.
async fn fetch(repository: &Repository<'_>, files: Vec<Found>, sender: Sender<(Found, Vec<u8>)>) -> Result<(), Fault> {
    let mut fetching = futures::stream::iter(files)
        .map(|file| async move { repository.content(&file).await.map(|content| (file, content)) })
        .buffered(AT_A_TIME);
    while let Some(file) = fetching.next().await {
        if sender.send(file?).await.is_err() {
            // Whoever packs has stopped, and says why.
            return Ok(());
        }
    }
    Ok(())
}

fn pack(mut files: Receiver<(Found, Vec<u8>)>, to: &Path) -> Result<(), Fault> {
    let mut packing = Packing::create(to)?;
    let mut size = 0_u64;
    while let Some((Found { path, kind, .. }, content)) = files.blocking_recv() {
        size = size.saturating_add(u64::try_from(content.len()).unwrap_or(u64::MAX));
        if size > MAX_ARCHIVE_BYTES {
            return Err(Fault::job("the repository's files have more than 1 GB"));
        }
        match kind {
            Kind::Plain => packing.file(&path, &content, false)?,
            Kind::Executable => packing.file(&path, &content, true)?,
            Kind::Link => packing.link(&path, &String::from_utf8_lossy(&content))?,
        }
    }
    packing.finish()
}

impl Repository<'_> {
    async fn folder(&self, commit: &str, path: &str) -> Result<GetFolderOutput, Fault> {
        let asked = self.client.get_folder().repository_name(self.name).commit_specifier(commit).folder_path(path);
        asked.send().await.map_err(|error| self.access("codecommit:GetFolder").fault(&error))
    }

    async fn content(&self, file: &Found) -> Result<Vec<u8>, Fault> {
        let got = self.client.get_blob().repository_name(self.name).blob_id(&file.blob).send().await;
        let got = got.map_err(|error| match error.code() {
            Some("FileTooLargeException") => Fault::job(format!(
                "{}: `{}` is larger than CodeCommit's API gives; OutputArtifactFormat CODEBUILD_CLONE_REF lets CodeBuild \
                 clone the repository",
                self.name, file.path
            )),
            _ => self.access("codecommit:GetBlob").fault(&error),
        })?;
        Ok(got.content.into_inner())
    }
}
