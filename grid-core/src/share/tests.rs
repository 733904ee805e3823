//! Shares within a bound, nobody starves, nothing stays idle that could work.

use proptest::prelude::*;

use super::*;

fn offer(tenant: &str, priority: i8, tasks: u64, task_secs: f64) -> Offer {
    Offer {
        tenant: tenant.to_owned(),
        priority: Priority::new(priority).unwrap(),
        tasks,
        task_secs,
        out: 0,
        start_by_ms: None,
        arrived_ms: 0,
        is_unmeasured: false,
    }
}

fn agreements(weights: &[(&str, f64)]) -> Agreements {
    let agreement = |weight| Agreement { weight, max_out: None };
    weights.iter().map(|(name, weight)| ((*name).to_owned(), agreement(*weight))).collect()
}

/// Tasks granted to each offer.
fn granted(offers: &[Offer], grants: &[Grant]) -> Vec<u64> {
    let of = |place| grants.iter().filter(|grant| grant.offer == place).map(|grant| grant.tasks).sum();
    (0..offers.len()).map(of).collect()
}

fn once(offers: &[Offer], agreements: &Agreements, room: u64) -> Vec<u64> {
    granted(offers, &Shares::default().hand_out(offers, agreements, room))
}

#[test]
fn tenants_share_slot_time_by_their_weights_not_tasks() {
    let offers = [offer("a", 0, 1_000, 10.0), offer("b", 0, 1_000, 30.0)];
    assert_eq!(once(&offers, &Agreements::new(), 80), [60, 20]);
    assert_eq!(once(&offers, &agreements(&[("b", 3.0)]), 80), [40, 40]);
}

#[test]
fn a_priority_has_twice_the_share_of_the_one_below_and_starves_none() {
    let offers = [offer("a", 2, 1_000, 1.0), offer("a", 1, 1_000, 1.0), offer("a", 0, 1_000, 1.0)];
    assert_eq!(once(&offers, &Agreements::new(), 70), [40, 20, 10]);
}

#[test]
fn a_tenant_gains_nothing_from_high_priorities_or_many_jobs() {
    let mut offers = vec![offer("modest", 0, 1_000, 1.0)];
    offers.extend((0..9).map(|_| offer("greedy", 5, 1_000, 1.0)));
    assert_eq!(once(&offers, &Agreements::new(), 100)[0], 50);
}

#[test]
fn who_was_away_has_no_claim_on_the_time_before() {
    let mut shares = Shares::default();
    let busy = [offer("busy", 0, 10_000, 1.0)];
    shares.hand_out(&busy, &Agreements::new(), 1_000);
    let both = [offer("back", 0, 1_000, 1.0), offer("busy", 0, 1_000, 1.0)];
    let grants = shares.hand_out(&both, &Agreements::new(), 100);
    let got = granted(&both, &grants);
    assert!(got[0].abs_diff(50) <= 1, "{got:?}");
}

#[test]
fn tasks_that_took_longer_than_expected_are_paid_for() {
    let (mut shares, agreements) = (Shares::default(), Agreements::new());
    let offers = [offer("short", 0, 1_000, 10.0), offer("long", 0, 1_000, 10.0)];
    let first = shares.hand_out(&offers, &agreements, 20);
    assert_eq!(granted(&offers, &first), [10, 10]);
    for _ in 0..10 {
        shares.settle("long", Priority::default(), &agreements, 10.0, 30.0);
    }
    let second = shares.hand_out(&offers, &agreements, 20);
    assert_eq!(granted(&offers, &second), [20, 0], "it has had 200 s more");
}

#[test]
fn a_quota_holds_and_others_take_what_it_leaves() {
    let mut quota = agreements(&[("small", 1.0)]);
    quota.get_mut("small").unwrap().max_out = Some(10);
    let offers = [Offer { out: 4, ..offer("small", 0, 1_000, 1.0) }, offer("large", 0, 1_000, 1.0)];
    assert_eq!(once(&offers, &quota, 100), [6, 94]);
    assert_eq!(once(&offers[..1], &quota, 100), [6], "also when nobody else is there");
}

#[test]
fn within_a_priority_pilots_go_first_then_who_has_to_start_first() {
    let due = |start_by_ms, arrived_ms| Offer { start_by_ms, arrived_ms, ..offer("a", 0, 5, 1.0) };
    let unmeasured = Offer { is_unmeasured: true, out: 1, arrived_ms: 9, ..offer("a", 0, 50, 1.0) };
    let offers = [due(None, 1), due(Some(900), 2), due(Some(500), 3), unmeasured];
    assert_eq!(once(&offers, &Agreements::new(), 3), [0, 0, 0, 3]);
    assert_eq!(once(&offers, &Agreements::new(), 9), [0, 1, 5, 3]);
    assert_eq!(once(&offers, &Agreements::new(), 20), [5, 5, 5, 5]);
}

#[test]
fn what_is_remembered_survives_being_written_down() {
    let mut shares = Shares::default();
    shares.hand_out(&[offer("a", 1, 9, 3.0), offer("b", -1, 9, 7.0)], &Agreements::new(), 5);
    let read: Shares = serde_json::from_str(&serde_json::to_string(&shares).unwrap()).unwrap();
    assert_eq!(read, shares);
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_offers() -> impl Strategy<Value = Vec<Offer>> {
    let any_offer = (0..4_usize, -3..4_i8, 0..60_u64, 1..100_u32, 0..20_u64, any::<bool>());
    prop::collection::vec(any_offer, 0..12).prop_map(|all| {
        let build = |(tenant, priority, tasks, secs, out, is_unmeasured): (usize, i8, u64, u32, u64, bool)| Offer {
            out,
            is_unmeasured,
            ..offer(NAMES[tenant], priority, tasks, f64::from(secs))
        };
        all.into_iter().map(build).collect()
    })
}

proptest! {
    #[test]
    fn nothing_stays_that_could_be_handed_out(offers in any_offers(), room in 0..300_u64, quota in 0..80_u64) {
        let agreements = Agreements::from([("a".to_owned(), Agreement { weight: 2.0, max_out: Some(quota) })]);
        let got = once(&offers, &agreements, room);
        prop_assert!(got.iter().zip(&offers).all(|(got, offer)| *got <= offer.tasks));
        let of_a = |value: &dyn Fn(&Offer) -> u64| offers.iter().filter(|offer| offer.tenant == "a").map(value).sum::<u64>();
        let may_have = of_a(&|offer| offer.tasks).min(quota.saturating_sub(of_a(&|offer| offer.out)));
        let others: u64 = offers.iter().filter(|offer| offer.tenant != "a").map(|offer| offer.tasks).sum();
        prop_assert_eq!(got.iter().sum::<u64>(), room.min(may_have + others));
        let a_got: u64 = got.iter().zip(&offers).filter(|(_, offer)| offer.tenant == "a").map(|(got, _)| *got).sum();
        prop_assert!(a_got <= may_have);
    }

    /// The bound of the paper: while both have something to do, what two have had differs by at most one task of each.
    #[test]
    fn shares_differ_by_no_more_than_one_task_of_each(
        costs in prop::collection::vec(1..200_u32, 4), weights in prop::collection::vec(1..20_u32, 4),
        rounds in prop::collection::vec(1..40_u64, 1..30),
    ) {
        let offers: Vec<Offer> = NAMES.iter().zip(&costs).map(|(name, cost)| offer(name, 0, 1_000_000, f64::from(*cost))).collect();
        let agreements: Agreements = NAMES.iter().zip(&weights)
            .map(|(name, weight)| ((*name).to_owned(), Agreement { weight: f64::from(*weight), max_out: None })).collect();
        let mut shares = Shares::default();
        let mut had = [0.0; 4];
        for room in rounds {
            for grant in shares.hand_out(&offers, &agreements, room) {
                had[grant.offer] += grant.tasks as f64 * f64::from(costs[grant.offer]) / f64::from(weights[grant.offer]);
            }
            for a in 0..4 {
                for b in 0..4 {
                    let bound = [a, b].iter().map(|n: &usize| f64::from(costs[*n]) / f64::from(weights[*n])).sum::<f64>();
                    prop_assert!((had[a] - had[b]).abs() <= bound + 1e-6, "{had:?}");
                }
            }
        }
    }

    /// With tasks of a second, the least of seven priorities of four tenants has its turn within 4 (127 + 7) tasks.
    #[test]
    fn nobody_starves(offers in any_offers(), before in 0..200_u64) {
        let endless: Vec<Offer> =
            offers.iter().map(|offer| Offer { tasks: 1_000_000, task_secs: 1.0, ..offer.clone() }).collect();
        prop_assume!(!endless.is_empty());
        let mut shares = Shares::default();
        shares.hand_out(&endless, &Agreements::new(), before);
        let got = granted(&endless, &shares.hand_out(&endless, &Agreements::new(), 540));
        for (place, offer) in endless.iter().enumerate() {
            let level = |other: &Offer| other.tenant == offer.tenant && other.priority == offer.priority;
            let of_level: u64 = endless.iter().enumerate().filter(|(_, other)| level(other)).map(|(other, _)| got[other]).sum();
            prop_assert!(of_level > 0, "{place} {got:?}");
        }
    }
}
