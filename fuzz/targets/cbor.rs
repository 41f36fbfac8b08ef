//! A call's body in CBOR: the first byte chooses the operation. What is read is written and read again as the same.
#![no_main]

use api::Body;
use api::protocol::{self, Protocol, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let Some(input) = penstock_fuzz::read(Protocol::Cbor, choice & 0x80 != 0, body) else { return };
    penstock_fuzz::checked(choice & 0x7f, &input);
    let target = Target::Extension("Any".into());
    let answer = protocol::success(Protocol::Cbor, &target, input.clone().into(), "id");
    let Body::Full(written) = answer.body() else { panic!("a stream") };
    assert_eq!(penstock_fuzz::read(Protocol::Cbor, false, written), Some(input));
});
