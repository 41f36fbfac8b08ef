mod botocore;
mod extensions;
mod operations;
mod routes;
mod server;
