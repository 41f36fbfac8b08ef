//! A call's body in JSON: the first byte chooses the operation and whether the rest is gzip.
#![no_main]

use api::protocol::Protocol;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    if let Some(input) = penstock_fuzz::read(Protocol::Json, choice & 0x80 != 0, body) {
        penstock_fuzz::checked(choice & 0x7f, &input);
    }
});
