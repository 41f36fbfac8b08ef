//! Random pipelines, random commands, and everything going wrong that may.

#[test]
fn first() {
    let from = std::time::Instant::now();
    let mut commits = 0;
    for seed in 0..50 {
        let record = testkit::sim::run(seed, testkit::sim::Mutation::None);
        commits += record.commits().count();
        if std::env::var("PENSTOCK_SIM_SEED").is_ok_and(|given| given == seed.to_string()) {
            println!("{record}");
        }
        println!(
            "{seed} steps {} commits {} quiet {} end {} inv {:?}",
            record.steps.len(),
            record.commits().count(),
            record.quiet.is_some(),
            record.end.is_some(),
            record.invariants.first()
        );
        if let Some(end) = &record.quiet {
            for (_, id, waits) in &end.waits {
                if waits.contains(&engine::Why::NextStep) || waits.is_empty() {
                    println!("   LOST {id} {waits:?}");
                }
            }
        }
    }
    println!("{commits} in {:?}", from.elapsed());
}
