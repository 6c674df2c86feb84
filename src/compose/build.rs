//! What every part of `compose` uses: addresses, references, and the list being built.

use crate::artifacts::Artifacts;
use crate::load::{Secrets, origin};
use kplan_model::{
    Address, Declaration, Declarations, Input, Kind, Meta, Object, ObjectCodec, Owner, Ref, Secret,
    Value,
};
use kplan_schema::value::SecretSource;
use kplan_schema::{Span, Spanned, Spec};

/// Kinds that carry the owner's tag.
const TAGGED: [&str; 3] = ["droplet", "database", "volume"];

/// What compose needs besides the file.
pub struct Inputs {
    /// Whose resources these will be; its id is part of names that must be unique in the world.
    pub owner: Owner,
    /// The secrets the file names.
    pub secrets: Secrets,
    /// The operator's own DigitalOcean token: what the cluster's controllers use when the file
    /// names none for them.
    pub token: Secret,
    /// The nodes on record: a new server joins one of these, whatever its own index is.
    pub members: super::Members,
    /// What an earlier kplan made otherwise.
    pub earlier: super::Earlier,
    /// How nodes are called, and what was there before kplan.
    pub standing: super::Standing,
    /// Whether the cluster is being restored.
    pub restoring: super::Restoring,
    /// What the nodes hold that was made anew.
    pub rotating: super::Rotating,
    /// The artifacts of the version set, with what the lock pins.
    pub artifacts: Artifacts,
}

impl Inputs {
    /// The secret of that source; the loader resolved every source of the file.
    pub fn secret(&self, source: &SecretSource) -> Secret {
        self.secrets
            .get(source)
            .cloned()
            .unwrap_or_else(|| Secret::sealed("unresolved"))
    }
}

/// `kind.name`.
pub fn address(kind: &'static str, name: &str) -> Address {
    Address::new(Kind::new(kind), name)
}

/// `kind.name[index]`.
pub fn indexed(kind: &'static str, name: &str, index: u32) -> Address {
    Address::indexed(Kind::new(kind), name, index)
}

/// An attribute of another resource.
pub fn to<T>(address: &Address, attribute: &str) -> Input<T> {
    Input::Ref(Ref::new(address.clone(), attribute))
}

/// The list being built.
pub struct Builder<'a> {
    /// The file.
    pub spec: &'a Spec,
    /// The rest.
    pub inputs: &'a Inputs,
    declarations: Declarations,
}

impl<'a> Builder<'a> {
    /// An empty list.
    pub fn new(spec: &'a Spec, inputs: &'a Inputs) -> Self {
        Self {
            spec,
            inputs,
            declarations: Declarations::default(),
        }
    }

    /// Declares a resource; gives its address back for references.
    pub fn add(
        &mut self,
        address: Address,
        args: &impl ObjectCodec,
        span: Option<Span>,
    ) -> Address {
        self.add_with(address, args, span, Meta::default())
    }

    /// Declares a resource with guards and relations.
    pub fn add_with(
        &mut self,
        address: Address,
        args: &impl ObjectCodec,
        span: Option<Span>,
        meta: Meta,
    ) -> Address {
        let mut declaration = Declaration::new(address.clone(), args.to_object(), origin(span));
        declaration.meta = meta;
        let foreign = self.is_foreign(&address);
        declaration.meta.imported = foreign;
        // Its tag is on everything taggable, put there by the providers: it goes last.
        if !foreign && TAGGED.contains(&address.kind().as_str()) {
            declaration.meta.after.push(super::network::owner_tag());
        }
        self.declarations.resources.push(declaration);
        address
    }

    /// Whether it was there before kplan, and the file does not say that it is kplan's own from now
    /// on (`protect = false`): no plan destroys it, and the owner's tag is not put on it.
    pub fn is_foreign(&self, address: &Address) -> bool {
        // A block speaks for itself; the nodes of a pool have the whole file's word.
        let is_node = address.kind().as_str() == "droplet" && address.index().is_some();
        let whole = &self.spec.cluster.protect;
        let whole = (is_node && whole.span.is_some()).then_some(whole.value);
        let own = self
            .spec
            .protect_of(address.kind().as_str(), address.name());
        let lifted = own.or(whole) == Some(false);
        self.inputs.standing.is_imported(address) && !lifted
    }

    /// The name of a node: the one it was given, or the one it will be.
    pub fn node_name(&self, pool: &str, index: u32) -> String {
        let droplet = super::nodes::droplet(pool, index);
        let given = self.inputs.standing.name(&droplet);
        given.map_or_else(|| self.spec.node_name(pool, index), ToOwned::to_owned)
    }

    /// Notes where the file gives a field of the resource declared last.
    pub fn field_at(&mut self, field: &str, span: Option<Span>) {
        if let (Some(last), Some(_)) = (self.declarations.resources.last_mut(), span) {
            last.field_origins.insert(field.to_owned(), origin(span));
        }
    }

    /// Notes that Argo CD manages a resource from now on.
    pub fn forget(&mut self, address: Address) {
        let why = "Argo CD brings it from Git from now on".to_owned();
        self.declarations.forgotten.insert(address, why);
    }

    /// Whether Argo CD brings what can come from Git. Not while the cluster is being restored: what
    /// a restore needs has to be there before it.
    pub fn is_by_git(&self) -> bool {
        self.spec.is_delivered_by_git() && !super::restoring::is_wanted(self)
    }

    /// A result that `output` shows.
    pub fn output(&mut self, name: &str, value: Value) {
        self.declarations.outputs.insert(name.to_owned(), value);
    }

    /// `kplan:`-free prefix of every remote name.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.spec.name())
    }

    /// The guard of everything that must not be lost by accident.
    pub fn guarded(&self) -> Meta {
        Meta {
            protect: self.spec.cluster.protect.value,
            ..Meta::default()
        }
    }

    /// The guard of a free-standing block: as the file says; else, where kplan runs no cluster and
    /// there is nothing besides to be protected, as the whole file's.
    pub fn guard(&self, protect: Option<&Spanned<bool>>) -> Meta {
        let whole = !self.spec.runs_k3s() && self.spec.cluster.protect.value;
        Meta {
            protect: protect.map_or(whole, |protect| protect.value),
            ..Meta::default()
        }
    }

    /// Notes where the file gives fields of the resource declared last.
    pub fn fields_at<const N: usize>(&mut self, fields: [(&str, Option<Span>); N]) {
        for (field, span) in fields {
            self.field_at(field, span);
        }
    }

    /// Addresses declared so far, with their kind.
    pub fn declared(&self) -> impl Iterator<Item = &Address> {
        self.declarations
            .resources
            .iter()
            .map(|declaration| &declaration.address)
    }

    /// The whole list.
    pub fn finish(self) -> Declarations {
        self.declarations
    }
}

/// A plain object of references, for outputs.
pub fn object(values: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(
        values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Object>(),
    )
}
