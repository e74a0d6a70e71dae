//! Compiles this crate, and no other, as a model: see src/lib.rs.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(loom)");
    println!("cargo::rustc-cfg=loom");
}
