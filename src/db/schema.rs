//! The tables as diesel sees them; both engines agree on them.

diesel::table! {
    build_branches (build_id, branch) {
        build_id -> BigInt,
        branch -> Text,
        builder_id -> BigInt,
        started -> BigInt,
        finished -> Nullable<BigInt>,
    }
}

diesel::table! {
    build_changes (change_number, build_id) {
        change_number -> BigInt,
        build_id -> BigInt,
    }
}

diesel::table! {
    builder_events (id) {
        id -> BigInt,
        builder_id -> BigInt,
        started -> BigInt,
        finished -> Nullable<BigInt>,
        text -> Text,
    }
}

diesel::table! {
    builder_workers (builder_id, worker) {
        builder_id -> BigInt,
        worker -> Text,
    }
}

diesel::table! {
    builders (id) {
        id -> BigInt,
        name -> Text,
        basedir -> Text,
        description -> Nullable<Text>,
        tags -> Text,
        workers -> Text,
        schedulers -> Text,
        state -> Text,
        active -> Bool,
        logs_from -> BigInt,
    }
}

diesel::table! {
    builds (id) {
        id -> BigInt,
        builder_id -> BigInt,
        number -> BigInt,
        worker -> Text,
        started -> BigInt,
        finished -> Nullable<BigInt>,
        results -> Nullable<SmallInt>,
        eta -> Nullable<BigInt>,
        reason -> Text,
        text -> Text,
        requests -> Text,
        properties -> Text,
        source_stamps -> Text,
        planned -> Text,
    }
}

diesel::table! {
    buildsets (id) {
        id -> BigInt,
        external_idstring -> Nullable<Text>,
        reason -> Text,
        scheduler -> Text,
        source_stamps -> Text,
        properties -> Text,
        builders -> Text,
        submitted_at -> BigInt,
        complete_at -> Nullable<BigInt>,
        results -> Nullable<SmallInt>,
    }
}

diesel::table! {
    changes (number) {
        number -> BigInt,
        who -> Text,
        files -> Text,
        comments -> Text,
        revision -> Nullable<Text>,
        branch -> Nullable<Text>,
        category -> Nullable<Text>,
        happened -> BigInt,
        revlink -> Nullable<Text>,
        properties -> Text,
        repository -> Text,
        codebase -> Text,
        project -> Text,
        origin -> Nullable<Text>,
    }
}

diesel::table! {
    counters (name) {
        name -> Text,
        value -> BigInt,
    }
}

diesel::table! {
    cursors (target) {
        target -> Text,
        seq -> BigInt,
    }
}

diesel::table! {
    events (seq) {
        seq -> BigInt,
        at -> BigInt,
        name -> Text,
        event -> Text,
    }
}

diesel::table! {
    expectations (builder_id) {
        builder_id -> BigInt,
        seconds -> Text,
    }
}

diesel::table! {
    hook_deliveries (dialect, delivery) {
        dialect -> Text,
        delivery -> Text,
        received -> BigInt,
        status -> SmallInt,
        answer -> Text,
    }
}

diesel::table! {
    hook_requests (id) {
        id -> BigInt,
        received -> BigInt,
        dialect -> Text,
        delivery -> Nullable<Text>,
        event -> Text,
        status -> SmallInt,
        accepted -> Bool,
        answer -> Text,
        reason -> Text,
        changes -> Text,
        replay_of -> Nullable<BigInt>,
        method -> Text,
        query -> Text,
        headers -> Text,
        size -> BigInt,
        body -> Binary,
    }
}

diesel::table! {
    log_chunks (log_id, first_byte) {
        log_id -> BigInt,
        first_byte -> BigInt,
        first_line -> BigInt,
        data -> Binary,
    }
}

diesel::table! {
    logs (id) {
        id -> BigInt,
        build_id -> BigInt,
        step -> Integer,
        name -> Text,
        kind -> SmallInt,
        finished -> Bool,
        lines -> BigInt,
        bytes -> BigInt,
    }
}

diesel::table! {
    outbox (place) {
        place -> BigInt,
        id -> Text,
        target -> Text,
        destination -> Text,
        key -> Nullable<Text>,
        seq -> BigInt,
        payload -> Text,
        state -> SmallInt,
        unfinished -> Bool,
        attempts -> Integer,
        created -> BigInt,
        last_try -> Nullable<BigInt>,
        next_try -> BigInt,
        detail -> Nullable<Text>,
        lane -> Nullable<Text>,
        about -> Nullable<Text>,
    }
}

diesel::table! {
    request_builds (request_id, build_id) {
        request_id -> BigInt,
        build_id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    requests (id) {
        id -> BigInt,
        buildset_id -> BigInt,
        builder_id -> BigInt,
        source_stamps -> Text,
        reason -> Text,
        properties -> Text,
        priority -> Integer,
        submitted_at -> BigInt,
        complete_at -> Nullable<BigInt>,
        results -> Nullable<SmallInt>,
    }
}

diesel::table! {
    state (object, key) {
        object -> Text,
        key -> Text,
        value -> Text,
    }
}

diesel::table! {
    steps (build_id, number) {
        build_id -> BigInt,
        number -> Integer,
        name -> Text,
        text -> Text,
        text2 -> Text,
        results -> Nullable<SmallInt>,
        started -> Nullable<BigInt>,
        finished -> Nullable<BigInt>,
        hidden -> Bool,
        waiting_for_locks -> Bool,
        statistics -> Text,
        urls -> Text,
        expected_seconds -> Nullable<Double>,
    }
}

diesel::table! {
    user_attributes (uid, kind) {
        uid -> BigInt,
        kind -> Text,
        value -> Text,
    }
}

diesel::table! {
    users (uid) {
        uid -> BigInt,
        identifier -> Text,
        bb_username -> Nullable<Text>,
        bb_password -> Nullable<Text>,
    }
}

diesel::table! {
    worker_connects (worker_id, at) {
        worker_id -> BigInt,
        at -> BigInt,
    }
}

diesel::table! {
    workers (id) {
        id -> BigInt,
        name -> Text,
        connected -> Bool,
        paused -> Bool,
        graceful -> Bool,
        admin -> Nullable<Text>,
        host -> Nullable<Text>,
        version -> Nullable<Text>,
        access_uri -> Nullable<Text>,
        info -> Text,
        last_heard -> Nullable<BigInt>,
    }
}

diesel::joinable!(build_branches -> builders (builder_id));
diesel::joinable!(build_branches -> builds (build_id));
diesel::joinable!(build_changes -> builds (build_id));
diesel::joinable!(builder_events -> builders (builder_id));
diesel::joinable!(builder_workers -> builders (builder_id));
diesel::joinable!(builds -> builders (builder_id));
diesel::joinable!(expectations -> builders (builder_id));
diesel::joinable!(log_chunks -> logs (log_id));
diesel::joinable!(request_builds -> builds (build_id));
diesel::joinable!(request_builds -> requests (request_id));
diesel::joinable!(requests -> builders (builder_id));
diesel::joinable!(requests -> buildsets (buildset_id));
diesel::joinable!(steps -> builds (build_id));
diesel::joinable!(user_attributes -> users (uid));
diesel::joinable!(worker_connects -> workers (worker_id));

diesel::allow_tables_to_appear_in_same_query!(
    build_branches,
    build_changes,
    builder_events,
    builder_workers,
    builders,
    builds,
    buildsets,
    changes,
    counters,
    cursors,
    events,
    expectations,
    hook_deliveries,
    hook_requests,
    log_chunks,
    logs,
    outbox,
    request_builds,
    requests,
    state,
    steps,
    user_attributes,
    users,
    worker_connects,
    workers,
);
