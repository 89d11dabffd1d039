//! Many tenants, budgets and restarts, without a network.

use super::*;
use crate::{
    config::{BudgetUnit, Period, PriceConfig},
    feed::Feed,
    wall_clock,
};
use seawall::Outcome;
use seawall_store::{InMemory, Store};

fn tenants(config: &TenantsConfig) -> Arc<Tenants> {
    Arc::new(Tenants::new(config, &Persistence::in_memory()))
}

fn by_header() -> TenantsConfig {
    TenantsConfig { from: Some("header:x-tenant".into()), ..TenantsConfig::default() }
}

fn budget(unit: BudgetUnit, limit: f64) -> BudgetConfig {
    BudgetConfig { unit, limit, per: Period::Month, ..BudgetConfig::default() }
}

fn expects(tokens: u64) -> Expected {
    let usage = Usage { input: tokens, ..Usage::default() };
    Expected { usage, model: Some("m".into()) }
}

fn used(output: u64) -> Usage {
    Usage { output, ..Usage::default() }
}

#[test]
fn a_hundred_thousand_tenants_take_bounded_room_and_leave_the_named_ones_theirs() {
    let named = [("acme".to_owned(), TenantConfig::default())].into();
    let config = TenantsConfig { max_tenants: 50, top: 5, named, ..by_header() };
    let tenants = tenants(&config);
    for n in 0..100_000 {
        drop(tenants.admit(&format!("tenant-{n}"), Expected::default()));
    }
    for _ in 0..200 {
        drop(tenants.admit("acme", Expected::default()));
    }
    assert!(tenants.lock().tenants.len() <= 53, "{}", tenants.lock().tenants.len());
    let acme = tenants.line("acme").unwrap();
    assert_eq!(acme.counts.of(Count::Requests), 200);
    let others = tenants.line(OVERFLOW).unwrap().counts.of(Count::Requests);
    assert!(others > 99_000, "{others}");
    let ranked = tenants.ranked();
    assert!(ranked.named.len() == 5 && ranked.named.contains_key("acme"), "{ranked:?}");
    let all = ranked.named.values().fold(ranked.other, |mut sum, one| {
        sum.add_all(one);
        sum
    });
    assert_eq!(all.of(Count::Requests), 100_200);
}

#[test]
fn idle_tenants_give_way_unless_a_budget_remembers_them() {
    let config = TenantsConfig { max_tenants: 3, ..by_header() };
    let tenants = tenants(&config);
    for name in ["a", "b", "c"] {
        drop(tenants.admit(name, Expected::default()));
    }
    let settings = tenants.settings.load();
    let later = wall_clock::now_ms() + 2 * IDLE;
    assert_eq!(&*tenants.tenant(&settings, "d", later).name, "d");
    let with_budget = TenantConfig {
        budgets: vec![budget(BudgetUnit::Requests, 9.0)],
        ..TenantConfig::default()
    };
    tenants.renew(&TenantsConfig { unnamed: with_budget, ..config });
    for name in ["a", "b", "c"] {
        drop(tenants.admit(name, Expected::default()));
    }
    let settings = tenants.settings.load();
    assert_eq!(&*tenants.tenant(&settings, "e", wall_clock::now_ms() + 2 * IDLE).name, OVERFLOW);
}

#[test]
fn a_budget_counts_what_was_used_and_what_is_expected() {
    let unnamed = TenantConfig {
        budgets: vec![budget(BudgetUnit::Tokens, 1_000.0)],
        ..TenantConfig::default()
    };
    let tenants = tenants(&TenantsConfig { unnamed, ..by_header() });
    let mut first = tenants.admit("a", expects(900)).ok().unwrap();
    let second = tenants.admit("a", expects(900)).ok().unwrap();
    let Err(TenantRefusal::Budget(standing)) = tenants.admit("a", expects(1)) else { panic!() };
    assert_eq!((standing.used, standing.reserved), (0.0, 1_800.0));
    first.used(used(400));
    first.end(Outcome::Success);
    second.end(Outcome::failure(seawall::Class::Transient));
    // The failed one used nothing; one whose caller leaves, or that did not report, what was expected.
    drop(tenants.admit("a", expects(100)).ok().unwrap());
    tenants.admit("a", expects(50)).ok().unwrap().end(Outcome::Success);
    let line = tenants.line("a").unwrap();
    assert_eq!((line.budgets[0].used, line.budgets[0].reserved, line.in_flight), (550.0, 0.0, 0));
    tenants.reset("a");
    assert_eq!(tenants.line("a").unwrap().budgets[0].used, 0.0);
}

#[test]
fn money_follows_the_prices_and_a_model_without_one_is_noticed() {
    let unnamed =
        TenantConfig { budgets: vec![budget(BudgetUnit::Money, 0.5)], ..TenantConfig::default() };
    let price = PriceConfig { input: 1.0, output: 10.0, ..PriceConfig::default() };
    let prices = [("m".to_owned(), price)].into();
    let tenants = tenants(&TenantsConfig { unnamed, prices, ..by_header() });
    let call = |model: &str, output| {
        let expected = Expected { model: Some(model.into()), ..Expected::default() };
        let mut call = tenants.admit("a", expected).ok().unwrap();
        call.used(used(output));
        call.end(Outcome::Success);
    };
    call("m", 40_000);
    call("stranger", 1_000_000);
    let spent = tenants.line("a").unwrap().budgets[0].used;
    assert!((spent - 0.4).abs() < 1e-9, "{spent}");
    assert_eq!(tenants.unpriced(), [("stranger".to_owned(), 1_000_000)].into());
    call("m", 20_000);
    assert!(matches!(tenants.admit("a", Expected::default()), Err(TenantRefusal::Budget(_))));
    // However many models there are, few are remembered.
    for n in 0..1_000 {
        let expected = Expected { model: Some(format!("x{n}")), ..expects(1) };
        drop(tenants.admit(&format!("t{n}"), expected));
    }
    assert!(tenants.unpriced().len() <= MOST_MODELS + 1);
}

#[test]
fn what_was_spent_survives_a_restart() {
    let store: Arc<dyn Store> = Arc::new(InMemory::default());
    let unnamed = TenantConfig {
        budgets: vec![budget(BudgetUnit::Requests, 2.0)],
        ..TenantConfig::default()
    };
    let config = TenantsConfig { unnamed, ..by_header() };
    let start = || Arc::new(Tenants::new(&config, &Persistence::new(store.clone(), Feed::new())));
    let first = start();
    for _ in 0..2 {
        drop(first.admit("a", Expected::default()).ok().unwrap());
    }
    first.save().unwrap();
    let second = start();
    assert!(matches!(second.admit("a", Expected::default()), Err(TenantRefusal::Budget(_))));
    assert!(second.admit("b", Expected::default()).is_ok());
}

#[test]
fn places_come_back_and_tenants_without_a_name_may_be_refused() {
    let named = TenantConfig { max_concurrent: Some(2), ..TenantConfig::default() };
    let config = TenantsConfig {
        named: [("a".to_owned(), named)].into(),
        refuse_unknown: true,
        ..by_header()
    };
    let tenants = tenants(&config);
    let both = [tenants.admit("a", expects(1)), tenants.admit("a", expects(1))];
    assert!(both.iter().all(Result::is_ok));
    let third = tenants.admit("a", expects(1)).err();
    assert_eq!(third, Some(TenantRefusal::Concurrent(2)));
    drop(both);
    assert!(tenants.admit("a", expects(1)).is_ok());
    assert_eq!(tenants.admit("b", expects(1)).err(), Some(TenantRefusal::Unknown));
}
