//! Every broken variant is caught, each within so many seeds as it says.

use gridmill_sim::mutant::Mutant;
use gridmill_sim::seeds::run;
use gridmill_sim::world::Setup;
use std::sync::Mutex;

/// The first seed that catches it, and by what.
fn caught(mutant: Mutant) -> Option<(u64, String)> {
    (0..mutant.within()).find_map(|seed| {
        let outcome = run(Setup { mutant: Some(mutant), ..Setup::of(seed) });
        let first = outcome.violations.into_iter().next()?;
        Some((seed, first))
    })
}

#[test]
fn every_mutant_is_caught() {
    let left = Mutex::new(Mutant::all().iter());
    let lives = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panics with it").next();
                    let Some(mutant) = next else { return };
                    match caught(*mutant) {
                        Some((seed, by)) => eprintln!("{mutant:?}: seed {seed}: {by:.150}"),
                        None => lives.lock().expect("nobody panics with it").push(*mutant),
                    }
                }
            });
        }
    });
    assert_eq!(lives.into_inner().expect("nobody panics with it"), Vec::<Mutant>::new());
}
