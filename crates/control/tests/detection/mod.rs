mod connections;
mod events;
mod polling;
mod pushes;
mod rules;
mod webhooks;
pub mod world;
