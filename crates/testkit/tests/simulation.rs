//! Random pipelines, random commands, and everything going wrong that may.

use std::collections::BTreeMap;
use testkit::sim::{self, Mutation};

#[test]
fn first() {
    let mut found: BTreeMap<&str, Vec<(u64, String)>> = BTreeMap::new();
    for seed in 0..300 {
        let record = sim::run(seed, Mutation::None);
        if std::env::var("PENSTOCK_SIM_SEED").is_ok_and(|given| given == seed.to_string()) {
            println!("{record}");
        }
        for (name, fault) in sim::checkers::check(&record) {
            found.entry(name).or_default().push((seed, fault));
        }
    }
    for (name, faults) in found {
        println!("{name}: {}", faults.len());
        for (seed, fault) in faults.iter().take(6) {
            println!("    {seed}: {fault}");
        }
    }
}
