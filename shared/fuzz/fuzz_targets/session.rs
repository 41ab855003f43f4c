#![no_main]

libfuzzer_sys::fuzz_target!(|case: &[u8]| outrigger_shared_fuzz::session(case));
