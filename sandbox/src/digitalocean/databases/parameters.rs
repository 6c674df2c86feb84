//! The parameters of the engines that can be set, as the document has them.

/// A parameter's name, and what its value may be.
pub(super) type Parameter = (&'static str, Kind);

/// What a value may be. Bounds are included.
pub(super) enum Kind {
    Flag,
    /// A whole number.
    Whole(f64, f64),
    /// A whole number that never becomes lower than it was set.
    Raised(f64, f64),
    Number(f64, f64),
    /// From so many characters to so many.
    Text(usize, usize),
    OneOf(&'static [&'static str]),
    /// A list of some of these.
    Words(&'static [&'static str]),
    /// At most so many characters, of a shape.
    Shaped(usize, fn(&str) -> bool),
    /// The same; null takes it away.
    Unset(usize, fn(&str) -> bool),
    Group(&'static [Parameter]),
}

/// `database/table`.
fn table(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(database, table)| !database.is_empty() && !table.is_empty())
}

/// `default`, or `a=on,b=off`.
fn switches(text: &str) -> bool {
    let word =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let switch = |part: &str| {
        part.split_once('=')
            .is_some_and(|(name, to)| word(name) && matches!(to, "on" | "off" | "default"))
    };
    text == "default" || text.split(',').all(switch)
}

/// `ANSI,TRADITIONAL`; nothing is the server's own.
pub(super) fn sql_modes(text: &str) -> bool {
    let mode = |mode: &str| mode.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    text.split(',').all(mode) && text.split(',').skip(1).all(|mode| !mode.is_empty())
}

/// A name of a role of PostgreSQL.
fn role(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(allowed)
}

pub(super) const MYSQL: &[Parameter] = &[
    ("automatic_sp_privileges", Kind::Flag),
    ("backup_hour", Kind::Whole(0.0, 23.0)),
    ("backup_minute", Kind::Whole(0.0, 59.0)),
    ("binlog_retention_period", Kind::Number(600.0, 604_800.0)),
    ("connect_timeout", Kind::Whole(2.0, 3_600.0)),
    ("default_time_zone", Kind::Text(2, 100)),
    ("div_precision_increment", Kind::Whole(0.0, 30.0)),
    ("end_markers_in_json", Kind::Flag),
    (
        "eq_range_index_dive_limit",
        Kind::Whole(0.0, 4_294_967_295.0),
    ),
    (
        "group_concat_max_len",
        Kind::Whole(4.0, 18_446_744_073_709_551_616.0),
    ),
    (
        "information_schema_stats_expiry",
        Kind::Whole(900.0, 31_536_000.0),
    ),
    ("innodb_change_buffer_max_size", Kind::Whole(0.0, 50.0)),
    ("innodb_flush_neighbors", Kind::Whole(0.0, 2.0)),
    ("innodb_ft_enable_stopword", Kind::Flag),
    ("innodb_ft_max_token_size", Kind::Whole(10.0, 84.0)),
    ("innodb_ft_min_token_size", Kind::Whole(0.0, 16.0)),
    (
        "innodb_ft_num_word_optimize",
        Kind::Whole(1_000.0, 10_000.0),
    ),
    (
        "innodb_ft_result_cache_limit",
        Kind::Whole(1_000_000.0, 4_294_967_295.0),
    ),
    ("innodb_ft_server_stopword_table", Kind::Shaped(1024, table)),
    ("innodb_ft_user_stopword_table", Kind::Unset(1024, table)),
    ("innodb_lock_wait_timeout", Kind::Whole(1.0, 3_600.0)),
    (
        "innodb_log_buffer_size",
        Kind::Whole(1_048_576.0, 4_294_967_295.0),
    ),
    (
        "innodb_online_alter_log_max_size",
        Kind::Whole(65_536.0, 1_099_511_627_776.0),
    ),
    ("innodb_optimize_fulltext_only", Kind::Flag),
    ("innodb_print_all_deadlocks", Kind::Flag),
    ("innodb_read_io_threads", Kind::Whole(1.0, 64.0)),
    ("innodb_rollback_on_timeout", Kind::Flag),
    ("innodb_thread_concurrency", Kind::Whole(0.0, 1_000.0)),
    ("innodb_write_io_threads", Kind::Whole(1.0, 64.0)),
    ("interactive_timeout", Kind::Whole(30.0, 604_800.0)),
    (
        "internal_tmp_mem_storage_engine",
        Kind::OneOf(&["TempTable", "MEMORY"]),
    ),
    (
        "log_output",
        Kind::OneOf(&["INSIGHTS", "TABLE", "INSIGHTS,TABLE", "NONE"]),
    ),
    ("long_query_time", Kind::Number(0.0, 3_600.0)),
    (
        "max_allowed_packet",
        Kind::Whole(102_400.0, 1_073_741_824.0),
    ),
    ("max_execution_time", Kind::Whole(0.0, 4_294_967_295.0)),
    (
        "max_heap_table_size",
        Kind::Whole(1_048_576.0, 1_073_741_824.0),
    ),
    (
        "max_seeks_for_key",
        Kind::Whole(1.0, 18_446_744_073_709_551_616.0),
    ),
    (
        "mysql_incremental_backup",
        Kind::Group(MYSQL_INCREMENTAL_BACKUP),
    ),
    ("net_buffer_length", Kind::Whole(1_024.0, 1_048_576.0)),
    ("net_read_timeout", Kind::Whole(1.0, 3_600.0)),
    ("net_write_timeout", Kind::Whole(1.0, 3_600.0)),
    ("optimizer_prune_level", Kind::Whole(0.0, 1.0)),
    ("optimizer_search_depth", Kind::Whole(0.0, 62.0)),
    ("optimizer_switch", Kind::Shaped(usize::MAX, switches)),
    ("slow_query_log", Kind::Flag),
    ("sort_buffer_size", Kind::Whole(32_768.0, 1_073_741_824.0)),
    ("sql_mode", Kind::Shaped(1024, sql_modes)),
    ("sql_require_primary_key", Kind::Flag),
    ("tmp_table_size", Kind::Whole(1_048_576.0, 1_073_741_824.0)),
    ("wait_timeout", Kind::Whole(1.0, 2_147_483.0)),
    ("windowing_use_high_precision", Kind::Flag),
];

pub(super) const POSTGRESQL: &[Parameter] = &[
    ("autovacuum_analyze_scale_factor", Kind::Number(0.0, 1.0)),
    (
        "autovacuum_analyze_threshold",
        Kind::Whole(0.0, 2_147_483_647.0),
    ),
    (
        "autovacuum_freeze_max_age",
        Kind::Whole(200_000_000.0, 1_500_000_000.0),
    ),
    ("autovacuum_max_workers", Kind::Whole(1.0, 20.0)),
    ("autovacuum_naptime", Kind::Whole(0.0, 86_400.0)),
    ("autovacuum_vacuum_cost_delay", Kind::Whole(-1.0, 100.0)),
    ("autovacuum_vacuum_cost_limit", Kind::Whole(-1.0, 10_000.0)),
    ("autovacuum_vacuum_scale_factor", Kind::Number(0.0, 1.0)),
    (
        "autovacuum_vacuum_threshold",
        Kind::Whole(0.0, 2_147_483_647.0),
    ),
    ("backup_hour", Kind::Whole(0.0, 23.0)),
    ("backup_minute", Kind::Whole(0.0, 59.0)),
    ("bgwriter_delay", Kind::Whole(10.0, 10_000.0)),
    ("bgwriter_flush_after", Kind::Whole(0.0, 2_048.0)),
    ("bgwriter_lru_maxpages", Kind::Whole(0.0, 1_073_741_823.0)),
    ("bgwriter_lru_multiplier", Kind::Number(0.0, 10.0)),
    ("deadlock_timeout", Kind::Whole(500.0, 1_800_000.0)),
    ("default_toast_compression", Kind::OneOf(&["lz4", "pglz"])),
    (
        "idle_in_transaction_session_timeout",
        Kind::Whole(0.0, 604_800_000.0),
    ),
    ("jit", Kind::Flag),
    (
        "log_autovacuum_min_duration",
        Kind::Whole(-1.0, 2_147_483_647.0),
    ),
    (
        "log_error_verbosity",
        Kind::OneOf(&["TERSE", "DEFAULT", "VERBOSE"]),
    ),
    (
        "log_line_prefix",
        Kind::OneOf(&[
            "pid=%p,user=%u,db=%d,app=%a,client=%h",
            "%m [%p] %q[user=%u,db=%d,app=%a]",
            "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h",
        ]),
    ),
    (
        "log_min_duration_statement",
        Kind::Whole(-1.0, 86_400_000.0),
    ),
    ("max_connections", Kind::Whole(25.0, f64::MAX)),
    (
        "max_failover_replication_time_lag",
        Kind::Whole(10.0, 9_223_372_036_854_775_808.0),
    ),
    ("max_files_per_process", Kind::Whole(1_000.0, 4_096.0)),
    ("max_locks_per_transaction", Kind::Raised(64.0, 6_400.0)),
    ("max_logical_replication_workers", Kind::Whole(4.0, 64.0)),
    ("max_parallel_workers", Kind::Whole(0.0, 96.0)),
    ("max_parallel_workers_per_gather", Kind::Whole(0.0, 96.0)),
    ("max_pred_locks_per_transaction", Kind::Whole(64.0, 640.0)),
    ("max_prepared_transactions", Kind::Raised(0.0, 10_000.0)),
    ("max_replication_slots", Kind::Whole(8.0, 64.0)),
    ("max_slot_wal_keep_size", Kind::Whole(-1.0, 2_147_483_647.0)),
    ("max_stack_depth", Kind::Whole(2_097_152.0, 6_291_456.0)),
    ("max_standby_archive_delay", Kind::Whole(1.0, 43_200_000.0)),
    (
        "max_standby_streaming_delay",
        Kind::Whole(1.0, 43_200_000.0),
    ),
    ("max_wal_senders", Kind::Raised(20.0, 64.0)),
    ("max_worker_processes", Kind::Raised(8.0, 96.0)),
    ("pg_partman_bgw.interval", Kind::Whole(3_600.0, 604_800.0)),
    ("pg_partman_bgw.role", Kind::Shaped(64, role)),
    (
        "pg_stat_statements.track",
        Kind::OneOf(&["all", "top", "none"]),
    ),
    ("pgbouncer", Kind::Group(PGBOUNCER)),
    ("shared_buffers_percentage", Kind::Number(20.0, 60.0)),
    ("stat_monitor_enable", Kind::Flag),
    ("synchronous_replication", Kind::OneOf(&["off", "quorum"])),
    ("temp_file_limit", Kind::Whole(-1.0, 2_147_483_647.0)),
    ("timescaledb", Kind::Group(TIMESCALEDB)),
    ("timezone", Kind::Text(0, 64)),
    ("track_activity_query_size", Kind::Whole(1_024.0, 10_240.0)),
    ("track_commit_timestamp", Kind::OneOf(&["off", "on"])),
    ("track_functions", Kind::OneOf(&["all", "pl", "none"])),
    ("track_io_timing", Kind::OneOf(&["off", "on"])),
    ("wal_sender_timeout", Kind::Whole(0.0, 10_800_000.0)),
    ("wal_writer_delay", Kind::Whole(10.0, 200.0)),
    ("work_mem", Kind::Whole(1.0, 1_024.0)),
];

const MYSQL_INCREMENTAL_BACKUP: &[Parameter] = &[
    ("enabled", Kind::Flag),
    ("full_backup_week_schedule", Kind::Text(0, 1024)),
];

const PGBOUNCER: &[Parameter] = &[
    ("autodb_idle_timeout", Kind::Whole(0.0, 86_400.0)),
    (
        "autodb_max_db_connections",
        Kind::Whole(0.0, 2_147_483_647.0),
    ),
    (
        "autodb_pool_mode",
        Kind::OneOf(&["session", "transaction", "statement"]),
    ),
    ("autodb_pool_size", Kind::Whole(0.0, 10_000.0)),
    (
        "ignore_startup_parameters",
        Kind::Words(&["extra_float_digits", "search_path"]),
    ),
    ("min_pool_size", Kind::Whole(0.0, 10_000.0)),
    ("server_idle_timeout", Kind::Whole(0.0, 86_400.0)),
    ("server_lifetime", Kind::Whole(60.0, 86_400.0)),
    ("server_reset_query_always", Kind::Flag),
];

const TIMESCALEDB: &[Parameter] = &[("max_background_workers", Kind::Whole(1.0, 4_096.0))];
