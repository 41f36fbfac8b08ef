//! What Linux tells of running processes under `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// A process as it was seen. Its number may be given to another one later; number and start time together are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it was started, in clock ticks since the boot.
    pub start: u64,
    /// Whether it has ended and only waits for its parent to notice.
    pub zombie: bool,
}

/// One process, if it exists.
pub(super) fn read(pid: i32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the line; the three above are fields 3 to 5.
    let start = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, parent, group, start, zombie: matches!(state, "Z" | "X") })
}

/// Every process that can be seen.
pub(super) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// All descendants of these processes, the processes themselves left out.
pub(super) fn descendants(of: &[i32]) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found = Vec::new();
    let mut open = of.to_vec();
    while let Some(pid) = open.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            open.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// Sends a signal to exactly this process: not to another one that got its number meanwhile.
pub(super) fn signal(process: &Process, signal: Signal) {
    let Some(pid) = Pid::from_raw(process.pid) else { return };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // The descriptor names one process for good, so that the comparison cannot be overtaken.
        Ok(handle) if is_same(process) => drop(pidfd_send_signal(handle, signal)),
        Err(rustix::io::Errno::NOSYS) if is_same(process) => drop(kill_process(pid, signal)),
        Ok(_) | Err(_) => {}
    }
}

/// Whether this very process still exists.
pub(super) fn is_same(process: &Process) -> bool {
    read(process.pid).is_some_and(|now| now.start == process.start)
}

/// Processes of this user whose environment, as they were started with it, holds `name` with one of `values`.
pub(super) fn with_environment(name: &str, values: &HashSet<&str>) -> Vec<Process> {
    let user = rustix::process::geteuid().as_raw();
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    all()
        .into_iter()
        .filter(|process| process.pid != own && !process.zombie)
        .filter(|process| fs::metadata(format!("/proc/{}", process.pid)).is_ok_and(|meta| meta.uid() == user))
        .filter(|process| variable(process.pid, name).is_some_and(|value| values.contains(value.as_str())))
        .filter(is_same)
        .collect()
}

fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// What is different after each boot of the machine.
///
/// # Errors
/// `/proc` is not there.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 5 6 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 10 18446744073709551615";
        let expected = Process { pid: 7, parent: 3, group: 5, start: 98765, zombie: false };
        assert_eq!(parse(7, stat), Some(expected));
        assert!(parse(7, &stat.replace(" S ", " Z ")).unwrap().zombie);
        assert_eq!(parse(7, "7 (a"), None);
    }

    #[test]
    fn this_process_is_found_with_its_start_time() {
        let own = i32::try_from(std::process::id()).unwrap();
        let seen = read(own).unwrap();
        assert!(seen.start > 0);
        assert!(all().iter().any(|process| process.pid == own && process.start == seen.start));
        assert!(is_same(&seen));
        assert!(!is_same(&Process { start: seen.start + 1, ..seen }));
    }
}
