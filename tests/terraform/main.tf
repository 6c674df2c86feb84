# Everything of DigitalOcean's Terraform provider that the sandbox simulates, in one configuration.
# `stage` moves it: 1 is the beginning, 2 changes in place what can change, 3 changes what makes
# the provider replace resources.

terraform {
  required_providers {
    digitalocean = {
      source = "digitalocean/digitalocean"
    }
  }
}

variable "stage" {
  type    = number
  default = 1
}

variable "api_endpoint" {
  type        = string
  description = "What `kplan sandbox` printed as DIGITALOCEAN_API_URL."
}

variable "spaces_endpoint" {
  type        = string
  description = "With {{.Region}} in it. The provider puts the bucket in front of the host."
  default     = "http://{{.Region}}.digitaloceanspaces.com"
}

variable "public_key" {
  type = string
}

variable "tls" {
  type        = list(object({ key = string, certificate = string }))
  description = "Two certificates with their keys in PEM."
  sensitive   = true
}

# The token is DIGITALOCEAN_TOKEN, the Spaces key SPACES_ACCESS_KEY_ID and
# SPACES_SECRET_ACCESS_KEY.
provider "digitalocean" {
  api_endpoint    = var.api_endpoint
  spaces_endpoint = var.spaces_endpoint
}

locals {
  region  = "fra1"
  changed = var.stage >= 2
  anew    = var.stage >= 3
}

data "digitalocean_account" "me" {}

data "digitalocean_region" "here" {
  slug = local.region
}

data "digitalocean_sizes" "small" {
  filter {
    key    = "slug"
    values = ["s-1vcpu-1gb"]
  }
}

data "digitalocean_regions" "all" {
  filter {
    key    = "available"
    values = ["true"]
  }
}

data "digitalocean_images" "ubuntu" {
  filter {
    key    = "distribution"
    values = ["Ubuntu"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.images) > 0
      error_message = "There are images of Ubuntu."
    }
  }
}

data "digitalocean_image" "os" {
  slug = local.anew ? "debian-12-x64" : "ubuntu-24-04-x64"
}

resource "digitalocean_tag" "web" {
  name = "tf-web"
}

resource "digitalocean_tag" "other" {
  name = local.anew ? "tf-other-2" : "tf-other"
}

data "digitalocean_tag" "web" {
  name = digitalocean_tag.web.name
}

data "digitalocean_tags" "all" {
  depends_on = [digitalocean_tag.web, digitalocean_tag.other]
}

data "digitalocean_ssh_key" "me" {
  name = digitalocean_ssh_key.me.name
}

resource "digitalocean_ssh_key" "me" {
  name       = local.changed ? "tf-renamed" : "tf"
  public_key = var.public_key
}

resource "digitalocean_vpc" "net" {
  name        = local.changed ? "tf-net-renamed" : "tf-net"
  description = local.changed ? "changed" : "first"
  region      = local.region
  ip_range    = "10.88.0.0/20"
}

resource "digitalocean_droplet" "web" {
  name              = local.changed ? "tf-web-renamed" : "tf-web"
  region            = local.region
  size              = local.changed ? "s-2vcpu-2gb" : data.digitalocean_sizes.small.sizes[0].slug
  image             = data.digitalocean_image.os.slug
  vpc_uuid          = digitalocean_vpc.net.id
  ssh_keys          = [digitalocean_ssh_key.me.id]
  tags              = local.changed ? [digitalocean_tag.web.id, digitalocean_tag.other.id] : [digitalocean_tag.web.id]
  user_data         = "#cloud-config"
  monitoring        = true
  backups           = true
  graceful_shutdown = true
  backup_policy {
    plan    = "weekly"
    weekday = local.changed ? "TUE" : "SUN"
    hour    = 8
  }
}

resource "digitalocean_droplet" "second" {
  name   = "tf-second"
  region = local.region
  size   = "s-1vcpu-1gb"
  image  = "debian-12-x64"
  # Not together with another change: the provider forgets it when it has waited for one.
  ipv6     = local.changed
  vpc_uuid = digitalocean_vpc.net.id
}

resource "digitalocean_droplet_snapshot" "second" {
  droplet_id = digitalocean_droplet.second.id
  name       = "tf-second"
}

data "digitalocean_droplet_snapshot" "second" {
  name = digitalocean_droplet_snapshot.second.name

  lifecycle {
    postcondition {
      condition     = self.size > 0 && self.droplet_id == digitalocean_droplet.second.id
      error_message = "It is the droplet's and holds something."
    }
  }
}

data "digitalocean_droplet" "web" {
  id = digitalocean_droplet.web.id

  lifecycle {
    postcondition {
      condition     = self.backups && self.vpc_uuid == digitalocean_vpc.net.id
      error_message = "It is what was asked for."
    }
  }
}

data "digitalocean_droplets" "tagged" {
  filter {
    key    = "tags"
    values = [digitalocean_tag.web.name]
  }
  depends_on = [digitalocean_droplet.web]

  lifecycle {
    postcondition {
      condition     = length(self.droplets) == 1
      error_message = "One droplet has the tag."
    }
  }
}

resource "digitalocean_droplet" "from_snapshot" {
  name     = "tf-copy"
  region   = local.region
  size     = "s-1vcpu-1gb"
  image    = digitalocean_droplet_snapshot.second.id
  vpc_uuid = digitalocean_vpc.net.id
}

resource "digitalocean_volume" "data" {
  name                     = "tf-data"
  region                   = local.region
  size                     = local.changed ? 20 : 10
  description              = "data"
  initial_filesystem_type  = "ext4"
  initial_filesystem_label = "data"
  tags                     = local.changed ? [digitalocean_tag.web.id] : []
}

resource "digitalocean_volume_attachment" "data" {
  droplet_id = digitalocean_droplet.web.id
  volume_id  = digitalocean_volume.data.id
}

resource "digitalocean_volume_snapshot" "data" {
  name      = "tf-data"
  volume_id = digitalocean_volume.data.id
  tags      = [digitalocean_tag.web.id]
}

data "digitalocean_volume_snapshot" "data" {
  name = digitalocean_volume_snapshot.data.name
}

data "digitalocean_volume" "data" {
  name   = digitalocean_volume.data.name
  region = local.region

  lifecycle {
    postcondition {
      condition     = self.filesystem_type == "ext4"
      error_message = "It is formatted."
    }
  }
}

resource "digitalocean_volume" "copy" {
  name        = local.anew ? "tf-copy-2" : "tf-copy"
  region      = local.region
  size        = 20
  snapshot_id = digitalocean_volume_snapshot.data.id
}

resource "digitalocean_reserved_ip" "front" {
  region     = local.region
  droplet_id = local.changed ? digitalocean_droplet.second.id : digitalocean_droplet.web.id
}

data "digitalocean_reserved_ip" "front" {
  ip_address = digitalocean_reserved_ip.front.ip_address
}

resource "digitalocean_reserved_ip" "free" {
  region = local.region
}

resource "digitalocean_reserved_ip" "spare" {
  region = local.region
}

resource "digitalocean_reserved_ip_assignment" "free" {
  ip_address = digitalocean_reserved_ip.free.ip_address
  droplet_id = digitalocean_droplet.from_snapshot.id
}

resource "digitalocean_firewall" "web" {
  name        = "tf-web"
  tags        = [digitalocean_tag.web.id]
  droplet_ids = local.changed ? [digitalocean_droplet.second.id] : []

  inbound_rule {
    protocol         = "tcp"
    port_range       = local.changed ? "2222" : "22"
    source_addresses = ["192.0.2.0/24", "2001:db8::/32"]
  }
  inbound_rule {
    protocol                  = "tcp"
    port_range                = "8000-9000"
    source_load_balancer_uids = [digitalocean_loadbalancer.web.id]
    source_tags               = [digitalocean_tag.web.id]
    source_droplet_ids        = [digitalocean_droplet.second.id]
  }
  outbound_rule {
    protocol              = "tcp"
    port_range            = "all"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }
  outbound_rule {
    protocol              = "icmp"
    destination_addresses = ["0.0.0.0/0", "::/0"]
  }
}

resource "digitalocean_domain" "site" {
  name       = "tf.example.com"
  ip_address = digitalocean_loadbalancer.web.ip
}

resource "digitalocean_record" "www" {
  domain = digitalocean_domain.site.id
  type   = "CNAME"
  name   = "www"
  value  = "@"
  ttl    = local.changed ? 600 : 300
}

resource "digitalocean_record" "mail" {
  domain   = digitalocean_domain.site.id
  type     = "MX"
  name     = "@"
  value    = "mail.example.com."
  priority = local.changed ? 20 : 10
}

resource "digitalocean_record" "sip" {
  domain   = digitalocean_domain.site.id
  type     = "SRV"
  name     = "_sip._tcp"
  value    = "sip.example.com."
  priority = 10
  port     = 5060
  weight   = 5
}

resource "digitalocean_record" "issue" {
  domain = digitalocean_domain.site.id
  type   = "CAA"
  name   = "@"
  value  = "letsencrypt.org."
  flags  = 0
  tag    = "issue"
}

resource "digitalocean_record" "text" {
  domain = digitalocean_domain.site.id
  type   = local.anew ? "TXT" : "AAAA"
  name   = "note"
  value  = local.anew ? "v=spf1 -all" : "2001:db8::7"
}

data "digitalocean_domain" "site" {
  name = digitalocean_domain.site.name
}

data "digitalocean_record" "www" {
  domain = digitalocean_domain.site.name
  name   = digitalocean_record.www.name
}

data "digitalocean_records" "soa" {
  domain = digitalocean_domain.site.name
  filter {
    key    = "type"
    values = ["SOA"]
  }
}

data "digitalocean_certificate" "signed" {
  name = digitalocean_certificate.signed.name
}

resource "digitalocean_certificate" "own" {
  name             = local.anew ? "tf-own-2" : "tf-own"
  type             = "custom"
  private_key      = var.tls[local.anew ? 1 : 0].key
  leaf_certificate = var.tls[local.anew ? 1 : 0].certificate

  lifecycle {
    create_before_destroy = true
  }
}

resource "digitalocean_certificate" "signed" {
  name    = "tf-signed"
  type    = "lets_encrypt"
  domains = [digitalocean_domain.site.name]
}

resource "digitalocean_loadbalancer" "web" {
  name        = "tf-web"
  region      = local.region
  vpc_uuid    = digitalocean_vpc.net.id
  droplet_tag = digitalocean_tag.web.id
  size_unit   = 1

  forwarding_rule {
    entry_protocol  = "http"
    entry_port      = 80
    target_protocol = "http"
    target_port     = 8080
  }
  forwarding_rule {
    entry_protocol   = "https"
    entry_port       = 443
    target_protocol  = "http"
    target_port      = 8080
    certificate_name = digitalocean_certificate.own.name
  }
  dynamic "forwarding_rule" {
    for_each = local.changed ? [6443] : []
    content {
      entry_protocol  = "tcp"
      entry_port      = forwarding_rule.value
      target_protocol = "tcp"
      target_port     = forwarding_rule.value
    }
  }

  healthcheck {
    protocol               = "http"
    port                   = 8080
    path                   = local.changed ? "/ready" : "/healthz"
    check_interval_seconds = 15
  }
  sticky_sessions {
    type               = "cookies"
    cookie_name        = "TF"
    cookie_ttl_seconds = 300
  }
  firewall {
    allow = ["cidr:192.0.2.0/24"]
    deny  = ["ip:198.51.100.1"]
  }
  redirect_http_to_https    = true
  enable_backend_keepalive  = local.changed
  http_idle_timeout_seconds = 90
  project_id                = digitalocean_project.site.id
}

resource "digitalocean_loadbalancer" "by_id" {
  name        = "tf-by-id"
  region      = local.region
  vpc_uuid    = digitalocean_vpc.net.id
  droplet_ids = [digitalocean_droplet.second.id]

  forwarding_rule {
    entry_protocol  = "udp"
    entry_port      = 53
    target_protocol = "udp"
    target_port     = 53
  }
  forwarding_rule {
    entry_protocol  = "https"
    entry_port      = 8443
    target_protocol = "https"
    target_port     = 8443
    tls_passthrough = true
  }
  healthcheck {
    protocol = "tcp"
    port     = 22
  }
}

resource "digitalocean_loadbalancer" "network" {
  name          = "tf-network"
  region        = local.region
  vpc_uuid      = digitalocean_vpc.net.id
  droplet_ids   = [digitalocean_droplet.second.id]
  type          = "REGIONAL_NETWORK"
  network_stack = "DUALSTACK"

  forwarding_rule {
    entry_protocol  = "tcp"
    entry_port      = 25
    target_protocol = "tcp"
    target_port     = 25
  }
}

data "digitalocean_loadbalancer" "network" {
  name = digitalocean_loadbalancer.network.name
}

data "digitalocean_vpc" "net" {
  id = digitalocean_vpc.net.id
}

data "digitalocean_firewall" "web" {
  firewall_id = digitalocean_firewall.web.id
}

data "digitalocean_project" "site" {
  id = digitalocean_project.site.id
}

data "digitalocean_project" "default" {}

resource "digitalocean_project" "site" {
  name        = local.changed ? "tf-renamed" : "tf"
  description = "Terraform's"
  purpose     = "Web Application"
  environment = local.changed ? "Production" : "Development"
}

resource "digitalocean_project_resources" "site" {
  project = digitalocean_project.site.id
  resources = [
    digitalocean_droplet.web.urn,
    digitalocean_volume.data.urn,
    digitalocean_domain.site.urn,
    # The provider's own `urn` says `reservedip`; the API still says `floatingip`.
    "do:floatingip:${digitalocean_reserved_ip.spare.ip_address}",
    digitalocean_spaces_bucket.files.urn,
  ]
}

resource "digitalocean_database_cluster" "pg" {
  name                 = "tf-pg"
  engine               = "pg"
  version              = local.changed ? "17" : "16"
  size                 = local.changed ? "db-s-2vcpu-4gb" : "db-s-1vcpu-2gb"
  region               = local.region
  node_count           = local.changed ? 2 : 1
  private_network_uuid = digitalocean_vpc.net.id
  project_id           = digitalocean_project.site.id
  tags                 = [digitalocean_tag.web.id]

  storage_autoscale {
    enabled           = true
    threshold_percent = 80
    increment_gib     = local.changed ? 20 : 10
  }

  maintenance_window {
    day  = local.changed ? "tuesday" : "monday"
    hour = "14:00:00"
  }
}

resource "digitalocean_database_cluster" "mysql" {
  name       = "tf-mysql"
  engine     = "mysql"
  version    = "8"
  size       = "db-s-1vcpu-2gb"
  region     = local.region
  node_count = 1
  sql_mode   = local.changed ? "ANSI,STRICT_ALL_TABLES" : "ANSI"
}

resource "digitalocean_database_user" "pg" {
  cluster_id = digitalocean_database_cluster.pg.id
  name       = local.anew ? "bob" : "alice"
}

resource "digitalocean_database_user" "mysql" {
  cluster_id        = digitalocean_database_cluster.mysql.id
  name              = "carol"
  mysql_auth_plugin = local.changed ? "mysql_native_password" : "caching_sha2_password"
}

resource "digitalocean_database_db" "pg" {
  cluster_id = digitalocean_database_cluster.pg.id
  name       = "shop"
}

resource "digitalocean_database_firewall" "pg" {
  cluster_id = digitalocean_database_cluster.pg.id

  rule {
    type  = "tag"
    value = digitalocean_tag.web.id
  }
  rule {
    type  = "ip_addr"
    value = local.changed ? "192.0.2.0/24" : "192.0.2.1"
  }
}

resource "digitalocean_database_postgresql_config" "pg" {
  cluster_id = digitalocean_database_cluster.pg.id
  work_mem   = local.changed ? 16 : 8
  jit        = true
  timezone   = "UTC"
}

# Not changed together with the cluster: the provider sends every parameter it has read, and so
# would set `sql_mode` back.
resource "digitalocean_database_mysql_config" "mysql" {
  cluster_id      = digitalocean_database_cluster.mysql.id
  wait_timeout    = 600
  long_query_time = 10
}

data "digitalocean_database_cluster" "pg" {
  name = digitalocean_database_cluster.pg.name
}

data "digitalocean_database_user" "mysql" {
  cluster_id = digitalocean_database_cluster.mysql.id
  name       = digitalocean_database_user.mysql.name
}

data "digitalocean_database_ca" "pg" {
  cluster_id = digitalocean_database_cluster.pg.id
}

resource "digitalocean_spaces_bucket" "files" {
  name          = "tf-files"
  region        = local.region
  acl           = "private"
  force_destroy = true

  versioning {
    enabled = local.changed
  }
  lifecycle_rule {
    id      = "old"
    prefix  = "logs/"
    enabled = true
    expiration {
      days = local.changed ? 30 : 90
    }
    noncurrent_version_expiration {
      days = 7
    }
    abort_incomplete_multipart_upload_days = 2
  }
}

resource "digitalocean_spaces_bucket_cors_configuration" "files" {
  bucket = digitalocean_spaces_bucket.files.id
  region = local.region

  cors_rule {
    allowed_headers = ["*"]
    allowed_methods = local.changed ? ["GET", "PUT"] : ["GET"]
    allowed_origins = ["https://www.example.com"]
    max_age_seconds = 3000
  }
}

resource "digitalocean_spaces_bucket_policy" "files" {
  bucket = digitalocean_spaces_bucket.files.id
  region = local.region
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ReadPublic"
      Effect    = "Allow"
      Principal = "*"
      Action    = "s3:GetObject"
      Resource  = "arn:aws:s3:::tf-files/public/*"
    }]
  })
}

resource "digitalocean_spaces_bucket_object" "index" {
  bucket       = digitalocean_spaces_bucket.files.name
  region       = local.region
  key          = local.anew ? "public/start.html" : "public/index.html"
  content      = local.changed ? "<p>second</p>" : "<p>first</p>"
  content_type = "text/html"
  acl          = "public-read"
}

# A bucket has a policy or limited keys, not both.
resource "digitalocean_spaces_bucket" "shared" {
  name          = "tf-shared"
  region        = local.region
  force_destroy = true
}

resource "digitalocean_spaces_key" "reader" {
  name = local.changed ? "tf-reader-renamed" : "tf-reader"
  grant {
    bucket     = digitalocean_spaces_bucket.shared.name
    permission = local.changed ? "readwrite" : "read"
  }
}

data "digitalocean_spaces_key" "reader" {
  access_key = digitalocean_spaces_key.reader.access_key
}

output "address" {
  value = digitalocean_loadbalancer.web.ip
}

output "ca" {
  value = data.digitalocean_database_ca.pg.certificate
}
