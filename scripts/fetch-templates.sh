#!/bin/sh
# Fetches the published chat templates that tests compare with (test data of their publishers, not
# shipped). They are members of a source package, which is downloaded and never built or run.
#
#   scripts/fetch-templates.sh          writes .cache/templates/NAME.jinja, quick the second time
set -eu

package=llama-cpp-python
version=0.3.36
root=$(cd "$(dirname "$0")/.." && pwd)
folder=$root/.cache/templates

# sha256 and name of each template.
sums='8804f445c761b9f259e3c1126a579d481a22ca09b2a3d32bcc4eb91bc36e0301  GLM-4.6.jinja
19eacf64569032f07644ea92c8e2a87af06ee7008147557302c31e474912ca97  HuggingFaceTB-SmolLM3-3B.jinja
7ce09d55d3690e06c70b5c07228cc7e8c99c43a23cdc027762be4011efcdea6c  NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja
5ed15374ce53e19a7798710736a2c9fe41c79f7385e8421a2080d6575a80ef1b  Qwen-QwQ-32B.jinja
cd8e9439f0570856fd70470bf8889ebd8b5d1107207f67a5efb46e342330527f  Qwen-Qwen2.5-7B-Instruct.jinja
87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5  Qwen-Qwen3-0.6B.jinja
d287fb2edf144207f868ae1b282755dc19db2a3f1c5b3a3d57e9e5abffa98392  Qwen3-Coder.jinja
a4aee8afcf2e0711942cf848899be66016f8d14a889ff9ede07bca099c28f715  Qwen3.5-4B.jinja
bbe594884b44d740667ee65a70bc8d333a565eab3d63ea59f291ea73ada84ba6  deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja
ecd6ae513fe103f0eb62e8ab5bfa8d0fe45c1074fa398b089c93a7e70c15cfd6  google-gemma-2-2b-it.jinja
e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65  meta-llama-Llama-3.1-8B-Instruct.jinja
5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4  meta-llama-Llama-3.2-3B-Instruct.jinja
78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90  microsoft-Phi-3.5-mini-instruct.jinja
e4676cb56dffea7782fd3e2b577cfaf1e123537e6ef49b3ec7caa6c095c62272  mistralai-Mistral-Nemo-Instruct-2407.jinja
a4c9919cbbd4acdd51ccffe22da049264b1b73e59055fa58811a99efbd7c8146  openai-gpt-oss-120b.jinja'

if [ -d "$folder" ] && (cd "$folder" && printf '%s\n' "$sums" | sha256sum --check --status 2>/dev/null); then
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/scikit_build_core" "$work/scikit_build_core/build"
: > "$work/scikit_build_core/__init__.py"
# pip asks a source package for its name before it saves it. This stands in for the build system, so
# that nothing of the package runs and no compiler is needed.
cat > "$work/scikit_build_core/build/__init__.py" <<END
import pathlib


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(directory, config_settings=None):
    info = pathlib.Path(directory, "llama_cpp_python-$version.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: llama_cpp_python\\nVersion: $version\\n")
    return info.name
END
PYTHONPATH=$work "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps \
    --no-binary :all: --no-build-isolation --dest "$work" "$package==$version" || {
    echo "cannot download $package: look at pip's message above; the network or its proxy is the usual cause" >&2
    exit 1
}
tar --extract --gzip --file "$work/llama_cpp_python-$version.tar.gz" --directory "$work" --wildcards \
    '*/vendor/llama.cpp/models/templates/*.jinja'
templates=$(find "$work" -type d -path '*/models/templates')
printf '%s\n' "$sums" | while read -r sum name; do
    if ! printf '%s  %s\n' "$sum" "$templates/$name" | sha256sum --check --status; then
        echo "$name of $package $version is not the file that the tests were made with" >&2
        exit 1
    fi
done
mkdir -p "$folder"
printf '%s\n' "$sums" | while read -r sum name; do
    cp "$templates/$name" "$folder/$name"
done
echo "templates are in $folder"
