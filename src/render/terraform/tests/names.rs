//! The attributes that Terraform's providers have, by type; those inside a block as
//! `BLOCK.ATTRIBUTE`. Of digitalocean/digitalocean as of 2.99.1, hashicorp/helm as of 3.0,
//! hashicorp/random as of 3.7 and hashicorp/tls as of 4.1, each by its documented schema.

/// Type, and the names it has. `id` is every resource's.
pub(super) const NAMES: &[(&str, &str)] = &[
    (
        "digitalocean_database_cluster",
        "id name engine version size region node_count maintenance_window eviction_policy sql_mode \
         private_network_uuid project_id host private_host port uri private_uri database user \
         password urn tags backup_restore storage_size_mib storage_autoscale metrics_endpoints",
    ),
    ("digitalocean_database_db", "id name cluster_id"),
    (
        "digitalocean_database_user",
        "id name cluster_id mysql_auth_plugin settings role password access_cert access_key",
    ),
    (
        "digitalocean_droplet",
        "id image name region size graceful_shutdown created_at urn disk vcpus memory price_hourly \
         price_monthly resize_disk status locked backups backup_policy ipv6 ipv6_address \
         private_networking public_networking ipv4_address ipv4_address_private ssh_keys user_data \
         volume_ids monitoring droplet_agent tags vpc_uuid gpu_partition_mode",
    ),
    (
        "digitalocean_firewall",
        "id name droplet_ids inbound_rule outbound_rule status created_at pending_changes tags \
         inbound_rule.protocol inbound_rule.port_range inbound_rule.source_addresses \
         inbound_rule.source_droplet_ids inbound_rule.source_load_balancer_uids \
         inbound_rule.source_kubernetes_ids inbound_rule.source_tags outbound_rule.protocol \
         outbound_rule.port_range outbound_rule.destination_addresses \
         outbound_rule.destination_droplet_ids outbound_rule.destination_load_balancer_uids \
         outbound_rule.destination_kubernetes_ids outbound_rule.destination_tags",
    ),
    (
        "digitalocean_loadbalancer",
        "id region size size_unit name urn algorithm forwarding_rule healthcheck sticky_sessions \
         droplet_ids droplet_tag redirect_http_to_https enable_proxy_protocol \
         enable_backend_keepalive disable_lets_encrypt_dns_records vpc_uuid subnet_uuid ip ipv6 \
         status http_idle_timeout_seconds project_id firewall type domains glb_settings \
         target_load_balancer_ids network network_stack tls_cipher_policy \
         forwarding_rule.entry_protocol forwarding_rule.entry_port forwarding_rule.target_protocol \
         forwarding_rule.target_port forwarding_rule.certificate_id forwarding_rule.tls_passthrough \
         healthcheck.protocol healthcheck.port healthcheck.path \
         healthcheck.check_interval_seconds healthcheck.response_timeout_seconds \
         healthcheck.unhealthy_threshold healthcheck.healthy_threshold firewall.allow \
         firewall.deny",
    ),
    (
        "digitalocean_project",
        "id name description purpose environment owner_uuid owner_id is_default created_at \
         updated_at resources",
    ),
    ("digitalocean_domain", "id name ip_address urn ttl"),
    (
        "digitalocean_record",
        "id type domain name port priority weight ttl value fqdn flags tag",
    ),
    (
        "digitalocean_reserved_ip",
        "id region urn ip_address droplet_id",
    ),
    (
        "digitalocean_spaces_bucket",
        "id name urn region acl cors_rule versioning bucket_domain_name endpoint lifecycle_rule \
         force_destroy versioning.enabled lifecycle_rule.id lifecycle_rule.prefix \
         lifecycle_rule.enabled lifecycle_rule.abort_incomplete_multipart_upload_days \
         lifecycle_rule.expiration lifecycle_rule.noncurrent_version_expiration",
    ),
    (
        "digitalocean_spaces_key",
        "id name grant access_key secret_key created_at grant.bucket grant.permission",
    ),
    ("digitalocean_ssh_key", "id name public_key fingerprint"),
    (
        "digitalocean_tag",
        "id name total_resource_count droplets_count images_count volumes_count \
         volume_snapshots_count databases_count",
    ),
    (
        "digitalocean_volume",
        "id region name urn size description snapshot_id initial_filesystem_type \
         initial_filesystem_label droplet_ids filesystem_type filesystem_label tags",
    ),
    (
        "digitalocean_volume_snapshot",
        "id name volume_id regions size created_at min_disk_size tags",
    ),
    (
        "digitalocean_vpc",
        "id name region description ip_range urn default created_at",
    ),
    (
        "helm_release",
        "id name repository chart version namespace values set set_sensitive status metadata \
         manifest",
    ),
    (
        "random_password",
        "id keepers length special upper lower numeric result bcrypt_hash",
    ),
    (
        "tls_private_key",
        "id algorithm rsa_bits ecdsa_curve private_key_pem private_key_openssh \
         private_key_pem_pkcs8 public_key_pem public_key_openssh",
    ),
    (
        "tls_self_signed_cert",
        "id private_key_pem cert_pem key_algorithm subject dns_names allowed_uses \
         validity_period_hours validity_start_time validity_end_time",
    ),
];
