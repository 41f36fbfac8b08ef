# Every target is one line; whatever needs an `if` is in xtask/.
.PHONY: demo test lint bench fmt build clean

demo:  ## the main job on real input: source, build and test, approval, deploy
	@cargo xtask demo
test:  ## lint, then every test; installs what the tests need below .tools/
	@cargo xtask test
lint:  ## rustfmt, clippy with warnings as errors, cargo deny
	@cargo xtask lint
bench:  ## every benchmark, as a table
	@cargo xtask bench
fmt:
	@cargo fmt --all
build:
	@cargo build --release --bin penstock
clean:
	@cargo clean
