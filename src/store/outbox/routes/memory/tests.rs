use super::*;

fn routes(count: u128) -> Arc<[Route]> {
    let route = |id| Route {
        webhook_id: WebhookId::from_u128(id),
        dialect: DialectRevision(1),
        is_open: true,
        parked_until: None,
    };
    (1..=count).map(route).collect()
}

fn counted(known: &Known) -> usize {
    known.table.values().flat_map(HashMap::values).map(|routes| 1 + routes.len()).sum()
}

#[test]
fn what_is_remembered_is_counted_and_bounded() {
    let mut known = Known::default();
    for tenant in 0..5 {
        for event_type in ["a", "b"] {
            known.keep(TenantId::from_u128(tenant), event_type.to_owned(), routes(3));
        }
    }
    known.keep(TenantId::from_u128(0), "a".to_owned(), routes(1));
    known.drop_tenant(TenantId::from_u128(1));
    known.drop_tenant(TenantId::from_u128(7));
    assert_eq!((known.size, counted(&known)), (30, 30));

    for number in 0..3 * MOST {
        known.keep(TenantId::from_u128(9), number.to_string(), routes(0));
    }
    assert!(known.size <= MOST && known.size == counted(&known), "{}", known.size);
    known.keep(TenantId::from_u128(9), "many".to_owned(), routes(2 * MOST as u128));
    assert!(known.table[&TenantId::from_u128(9)].contains_key("many"));
    known.forget();
    assert_eq!((known.size, counted(&known)), (0, 0));
}

fn news(snapshot: &str, tenants: &[u128]) -> News {
    let tenants = tenants.iter().copied().map(TenantId::from_u128).collect();
    News { snapshot: snapshot.to_owned(), tenants, has_other_dialects: false }
}

fn read(tenant: u128) -> Table {
    HashMap::from([(TenantId::from_u128(tenant), HashMap::from([("a".to_owned(), routes(1))]))])
}

#[test]
fn what_was_read_before_a_change_was_seen_is_not_kept_after_it() {
    let all = Routes::new(&Era::default());
    let first = all.mark();
    all.keep(&first, read(1));
    assert_eq!(all.known().size, 0, "no look has begun to tell what changes");
    all.take_over(&first, news("1:1:", &[]));
    let mark = all.mark();
    all.keep(&mark, read(1));
    assert_eq!(all.known().size, 2);

    all.take_over(&mark, news("2:2:", &[1]));
    assert_eq!(all.known().size, 0, "it was forgotten");
    all.keep(&mark, read(1));
    assert_eq!(all.known().size, 0, "it was read before that");
    let mark = all.mark();
    all.keep(&mark, read(1));
    assert_eq!(all.known().size, 2);

    // A look that began before another one ended.
    all.take_over(&first, news("3:3:", &[]));
    assert_eq!(all.known().seen.as_deref(), Some("2:2:"));
    let other_dialects = News { has_other_dialects: true, ..news("4:4:", &[]) };
    let mark = all.mark();
    all.take_over(&mark, other_dialects);
    let known = all.known();
    assert_eq!((known.size, known.seen.as_deref()), (0, Some("4:4:")));
}

#[test]
fn nothing_is_remembered_past_the_end_of_an_era() {
    let era = Era::default();
    let all = Routes::new(&era);
    all.known().keep(TenantId::from_u128(1), "a".to_owned(), routes(1));
    all.known().seen = Some("1:1:".to_owned());
    let changes = all.known().changes;
    assert_eq!(all.known().size, 2);
    era.ends(era.now());
    let known = all.known();
    assert!(known.seen.is_none() && known.table.is_empty() && known.changes != changes);
}

#[test]
fn what_was_not_looked_at_for_long_is_forgotten() {
    let all = Routes::new(&Era::default());
    let mark = all.mark();
    all.take_over(&mark, news("1:1:", &[]));
    let (known, now) = (all.known(), Instant::now());
    assert!(!known.is_past(0, now) && known.is_past(1, now) && known.is_past(0, now + LONGEST));
}

#[test]
fn only_open_webhooks_that_are_not_parked_take_a_delivery_at_once() {
    let (now, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + Duration::from_secs(1));
    let open = Route { parked_until: Some(later), ..routes(1)[0] };
    assert!(!open.takes(now) && open.takes(later));
    assert!(!Route { is_open: false, ..open }.takes(later));
}
