mod connections;
mod events;
mod polling;
mod pushes;
mod rules;
mod webhooks;
mod world;
