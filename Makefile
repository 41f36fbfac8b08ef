# Every target is one line; whatever needs an `if` is in xtask/.
.PHONY: demo test e2e lint bench fmt build deploy emulate clean

demo:  ## the main job on real input: source, build and test, approval, deploy
	@cargo xtask demo
test:  ## lint, then every test; installs what the tests need below .tools/
	@cargo xtask test
e2e:  ## the deployed stack's tests only, in an emulator
	@cargo xtask e2e
lint:  ## rustfmt, clippy with warnings as errors, cfn-lint, cargo deny
	@cargo xtask lint
bench:  ## every benchmark, as a table
	@cargo xtask bench
fmt:
	@cargo fmt --all
build:  ## the functions for AWS (arm64; ARCH=x86_64 for the other)
	@cargo xtask build $(ARCH)
deploy: build  ## the stack, with SAM
	@sam deploy --template-file template.yaml --stack-name $(or $(STACK),penstock) --resolve-s3 --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameter-overrides Architecture=$(or $(ARCH),arm64)
emulate:  ## builds and deploys the stack into the emulator at AWS_ENDPOINT_URL, prints its outputs as JSON
	@cargo xtask emulate $(STACK)
clean:
	@cargo clean
