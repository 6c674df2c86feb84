//! A no-op plan costs list calls, whatever the size.

use crate::support::Folder;

fn api_calls(folder: &Folder) -> u64 {
    let plan = folder.kplan(&["plan", "--sandbox", "--json"]).ok().json();
    assert_eq!(plan["changes"]["add"], 0, "{plan:#}");
    plan["statistics"]["api_calls"].as_u64().expect("a count")
}

#[test]
fn a_no_op_plan_of_ha_postgres_costs_at_most_20_calls_and_22_with_200_agents() {
    let folder = Folder::example("ha-postgres");
    folder.apply();
    let few = api_calls(&folder);
    println!("ha-postgres: {few} API calls");
    assert!(few <= 20, "{few} calls");
    let path = folder.path().join("cluster.toml");
    let text = std::fs::read_to_string(path).expect("the file");
    let many = text.replacen(
        "count = 3\nsize  = \"s-1vcpu-2gb\"",
        "count = 200\nsize  = \"s-1vcpu-2gb\"",
        1,
    );
    assert_ne!(text, many);
    folder.write(&many);
    folder.apply();
    let all = api_calls(&folder);
    println!("ha-postgres with 200 agents: {all} API calls");
    assert!(all <= 22, "{all} calls");
}
