#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gridmill_tests::fuzz::run("templates", bytes));
