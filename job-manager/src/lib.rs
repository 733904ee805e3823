//! submit, plan, dispatch, collect, chain, reconcile.
