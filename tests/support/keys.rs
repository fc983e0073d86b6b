//! Keys that protect nothing.

pub const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const PLATFORM_KEY: &str = "tk_platform_testtesttesttesttesttesttesttest";
