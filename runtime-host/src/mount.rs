//! From a component of the manifest to one that serves: its file, its grants, its routes.

use crate::http::Mount;
use crate::manifest::variables::Values;
use crate::manifest::{Component, Manifest, Role};
use crate::wasm::engine::Engines;
use crate::wasm::outbound::AllowedHosts;
use crate::wasm::rest::{Grants, RestComponent, RestLimits, Stores};
use anyhow::{Context, bail};

fn rest_components(manifest: &Manifest) -> impl Iterator<Item = (&String, &Component)> {
    let rest = |(_, component): &(&String, &Component)| component.role == Role::Rest;
    manifest.components.iter().filter(rest)
}

/// Compiles and links all REST components, each on a thread of its own.
pub(crate) fn mount_all(
    manifest: &Manifest,
    limits: RestLimits,
    engines: &Engines,
    stores: &Stores,
    values: &Values,
) -> anyhow::Result<Vec<Mount>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = rest_components(manifest)
            .map(|(name, component)| {
                let mount = move || {
                    mount(name, component, limits, engines, stores, values)
                        .with_context(|| format!("component {name:?}"))
                };
                scope.spawn(mount)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(mounted) => mounted,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn mount(
    name: &str,
    component: &Component,
    limits: RestLimits,
    engines: &Engines,
    stores: &Stores,
    values: &Values,
) -> anyhow::Result<Mount> {
    require_source(component)?;
    let mut granted = Stores::new();
    for label in &component.key_value_stores {
        let Some(store) = stores.get(label) else {
            bail!(unknown_label(label));
        };
        granted.insert(label.clone(), store.clone());
    }
    let grants = grants(name, component, granted, values)?;
    let compiled = engines.compile_rest(&component.source)?;
    Ok(Mount {
        name: name.to_owned(),
        component: RestComponent::new(engines, &compiled, grants, limits)?,
        sweep: component.sweep.clone(),
        keeps_policies: component.keeps_policies,
    })
}

/// What the manifest grants a component. Which stores these are, the caller decides.
pub(crate) fn grants(
    name: &str,
    component: &Component,
    stores: Stores,
    values: &Values,
) -> anyhow::Result<Grants> {
    let hosts = values.outbound_hosts(name, component)?;
    let environment = component.environment.clone();
    Ok(Grants {
        component: name.into(),
        stores,
        variables: values.of_component(name, component)?,
        environment: environment.into_iter().collect(),
        outbound: AllowedHosts::parse(hosts)?,
    })
}

/// Says what to do where the component was not built.
pub(crate) fn require_source(component: &Component) -> anyhow::Result<()> {
    if component.source.is_file() {
        return Ok(());
    }
    let source = component.source.display();
    if component.build.is_some() {
        bail!("{source} is missing; run `sschat build`, or start with `sschat up --build`");
    }
    bail!("{source} is missing");
}

pub(crate) fn unknown_label(label: &str) -> String {
    format!("the store {label:?} is not configured; name it in the file of --runtime-config-file")
}

/// The routes in the order of the manifest, each to the index of its component in `mounts`.
pub(crate) fn routes(manifest: &Manifest, mounts: &[Mount]) -> Vec<(String, usize)> {
    manifest
        .triggers
        .iter()
        .filter_map(|trigger| {
            let route = trigger.route.clone()?;
            let index = mounts.iter().position(|m| m.name == trigger.component)?;
            Some((route, index))
        })
        .collect()
}

/// The routes of all components.
pub(crate) fn paths(manifest: &Manifest) -> Vec<String> {
    let triggers = manifest.triggers.iter();
    triggers
        .filter_map(|trigger| trigger.route.clone())
        .collect()
}

/// Twice the instances that can work at once: the other half may be idle or ending.
pub(crate) fn pool_size(manifest: &Manifest, limits: &RestLimits) -> u32 {
    let components = rest_components(manifest).count().max(1);
    u32::try_from(components * limits.instances * 2).unwrap_or(u32::MAX)
}
