//! What DigitalOcean sells: regions, droplet sizes with prices, images. Read-only.

use serde_json::{Value, json};

/// (slug, name).
pub(crate) const REGIONS: [(&str, &str); 12] = [
    ("ams3", "Amsterdam 3"),
    ("atl1", "Atlanta 1"),
    ("blr1", "Bangalore 1"),
    ("fra1", "Frankfurt 1"),
    ("lon1", "London 1"),
    ("nyc1", "New York 1"),
    ("nyc3", "New York 3"),
    ("sfo2", "San Francisco 2"),
    ("sfo3", "San Francisco 3"),
    ("sgp1", "Singapore 1"),
    ("syd1", "Sydney 1"),
    ("tor1", "Toronto 1"),
];

/// A droplet size. Prices are DigitalOcean's public list prices in US dollars a month.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) slug: &'static str,
    pub(crate) vcpus: u32,
    pub(crate) memory_mib: u32,
    pub(crate) disk_gib: u32,
    /// Terabytes a month that are included.
    transfer: f64,
    pub(crate) price_monthly: f64,
    description: &'static str,
}

const fn size(
    slug: &'static str,
    (vcpus, memory_mib, disk_gib): (u32, u32, u32),
    transfer: f64,
    price_monthly: f64,
    description: &'static str,
) -> Size {
    Size {
        slug,
        vcpus,
        memory_mib,
        disk_gib,
        transfer,
        price_monthly,
        description,
    }
}

/// The sizes on sale, cheapest first within their family.
pub(crate) const SIZES: [Size; 32] = [
    size("s-1vcpu-512mb-10gb", (1, 512, 10), 0.5, 4.0, "Basic"),
    size("s-1vcpu-1gb", (1, 1024, 25), 1.0, 6.0, "Basic"),
    size("s-1vcpu-2gb", (1, 2048, 50), 2.0, 12.0, "Basic"),
    size("s-2vcpu-2gb", (2, 2048, 60), 3.0, 18.0, "Basic"),
    size("s-2vcpu-4gb", (2, 4096, 80), 4.0, 24.0, "Basic"),
    size("s-4vcpu-8gb", (4, 8192, 160), 5.0, 48.0, "Basic"),
    size("s-8vcpu-16gb", (8, 16384, 320), 6.0, 96.0, "Basic"),
    size("s-1vcpu-1gb-amd", (1, 1024, 25), 1.0, 7.0, "Basic AMD"),
    size("s-1vcpu-2gb-amd", (1, 2048, 50), 2.0, 14.0, "Basic AMD"),
    size("s-2vcpu-2gb-amd", (2, 2048, 60), 3.0, 21.0, "Basic AMD"),
    size("s-2vcpu-4gb-amd", (2, 4096, 80), 4.0, 28.0, "Basic AMD"),
    size("s-2vcpu-8gb-amd", (2, 8192, 100), 5.0, 42.0, "Basic AMD"),
    size("s-4vcpu-8gb-amd", (4, 8192, 160), 5.0, 56.0, "Basic AMD"),
    size("s-4vcpu-16gb-amd", (4, 16384, 200), 8.0, 84.0, "Basic AMD"),
    size("s-8vcpu-16gb-amd", (8, 16384, 320), 6.0, 112.0, "Basic AMD"),
    size(
        "s-8vcpu-32gb-amd",
        (8, 32768, 400),
        10.0,
        168.0,
        "Basic AMD",
    ),
    size("s-1vcpu-1gb-intel", (1, 1024, 25), 1.0, 7.0, "Basic Intel"),
    size("s-1vcpu-2gb-intel", (1, 2048, 50), 2.0, 14.0, "Basic Intel"),
    size("s-2vcpu-2gb-intel", (2, 2048, 60), 3.0, 21.0, "Basic Intel"),
    size("s-2vcpu-4gb-intel", (2, 4096, 80), 4.0, 28.0, "Basic Intel"),
    size(
        "s-4vcpu-8gb-intel",
        (4, 8192, 160),
        5.0,
        56.0,
        "Basic Intel",
    ),
    size(
        "s-8vcpu-16gb-intel",
        (8, 16384, 320),
        6.0,
        112.0,
        "Basic Intel",
    ),
    size("c-2", (2, 4096, 25), 4.0, 42.0, "CPU-Optimized"),
    size("c-4", (4, 8192, 50), 5.0, 84.0, "CPU-Optimized"),
    size("c-8", (8, 16384, 100), 6.0, 168.0, "CPU-Optimized"),
    size("g-2vcpu-8gb", (2, 8192, 25), 4.0, 63.0, "General Purpose"),
    size(
        "g-4vcpu-16gb",
        (4, 16384, 50),
        5.0,
        126.0,
        "General Purpose",
    ),
    size(
        "g-8vcpu-32gb",
        (8, 32768, 100),
        6.0,
        252.0,
        "General Purpose",
    ),
    size(
        "m-2vcpu-16gb",
        (2, 16384, 50),
        4.0,
        84.0,
        "Memory-Optimized",
    ),
    size(
        "m-4vcpu-32gb",
        (4, 32768, 100),
        6.0,
        168.0,
        "Memory-Optimized",
    ),
    size(
        "so-2vcpu-16gb",
        (2, 16384, 300),
        4.0,
        131.0,
        "Storage-Optimized",
    ),
    size(
        "so-4vcpu-32gb",
        (4, 32768, 600),
        6.0,
        262.0,
        "Storage-Optimized",
    ),
];

/// A public image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) id: u64,
    pub(crate) slug: &'static str,
    name: &'static str,
    pub(crate) distribution: &'static str,
    min_disk_gib: u32,
}

const fn image(
    id: u64,
    slug: &'static str,
    name: &'static str,
    distribution: &'static str,
) -> Image {
    Image {
        id,
        slug,
        name,
        distribution,
        min_disk_gib: 7,
    }
}

/// What every image holds: a typical size of a compressed distribution.
pub(crate) const IMAGE_GIGABYTES: f64 = 2.3;

/// The images droplets can be made of.
pub(crate) const IMAGES: [Image; 7] = [
    image(129_211_873, "rockylinux-9-x64", "9 x64", "Rocky Linux"),
    image(155_133_621, "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu"),
    image(155_133_446, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu"),
    image(182_541_207, "ubuntu-25-04-x64", "25.04 x64", "Ubuntu"),
    image(172_185_130, "debian-12-x64", "12 x64", "Debian"),
    image(194_829_904, "debian-13-x64", "13 x64", "Debian"),
    image(185_937_442, "fedora-42-x64", "42 x64", "Fedora"),
];

/// Sizes of database nodes in the order of what they cost; a cluster can only move right.
pub(crate) const DATABASE_SIZES: [(&str, u64); 7] = [
    ("db-s-1vcpu-1gb", 10_240),
    ("db-s-1vcpu-2gb", 30_720),
    ("db-s-2vcpu-4gb", 61_440),
    ("db-s-4vcpu-8gb", 143_360),
    ("db-s-6vcpu-16gb", 286_720),
    ("db-s-8vcpu-32gb", 593_920),
    ("db-s-16vcpu-64gb", 1_167_360),
];

pub(crate) fn size_of(slug: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.slug == slug)
}

/// An image by slug or id.
pub(crate) fn image_of(slug_or_id: &str) -> Option<&'static Image> {
    let id = slug_or_id.parse().ok();
    IMAGES
        .iter()
        .find(|image| image.slug == slug_or_id || Some(image.id) == id)
}

pub(crate) fn has_region(slug: &str) -> bool {
    REGIONS.iter().any(|(region, _)| *region == slug)
}

/// A region as the API shows it; null when there is none with this slug.
pub(crate) fn region_view(slug: &str) -> Value {
    REGIONS.iter().find(|(region, _)| *region == slug).map_or(Value::Null, |(slug, name)| {
        let sizes: Vec<&str> = SIZES.iter().map(|size| size.slug).collect();
        let features = [
            "backups", "ipv6", "metadata", "install_agent", "storage", "image_transfer",
            "server_id", "management_networking",
        ];
        json!({ "name": name, "slug": slug, "features": features, "available": true, "sizes": sizes })
    })
}

pub(crate) fn size_view(size: &Size) -> Value {
    let regions: Vec<&str> = REGIONS.iter().map(|(slug, _)| *slug).collect();
    // DigitalOcean bills 672 hours a month.
    let hourly = (size.price_monthly / 672.0 * 100_000.0).round() / 100_000.0;
    json!({
        "slug": size.slug,
        "memory": size.memory_mib,
        "vcpus": size.vcpus,
        "disk": size.disk_gib,
        "transfer": size.transfer,
        "price_monthly": size.price_monthly,
        "price_hourly": hourly,
        "regions": regions,
        "available": true,
        "description": size.description,
        "disk_info": disk_info(size.disk_gib),
    })
}

pub(crate) fn disk_info(gib: u32) -> Value {
    json!([{ "type": "local", "size": { "amount": gib, "unit": "gib" } }])
}

pub(crate) fn image_view(image: &Image) -> Value {
    // The documented region slugs of images do not include the newest region.
    let regions: Vec<&str> = REGIONS
        .iter()
        .map(|(slug, _)| *slug)
        .filter(|slug| *slug != "atl1")
        .collect();
    json!({
        "id": image.id,
        "name": image.name,
        "distribution": image.distribution,
        "slug": image.slug,
        "public": true,
        "regions": regions,
        "created_at": "2025-06-17T14:00:00Z",
        "min_disk_size": image.min_disk_gib,
        "type": "base",
        "size_gigabytes": IMAGE_GIGABYTES,
        "description": format!("{} {}", image.distribution, image.name),
        "tags": [],
        "status": "available",
        "error_message": "",
    })
}
