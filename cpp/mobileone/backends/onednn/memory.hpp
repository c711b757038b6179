// oneDNN's engine and stream, and the memory descriptors of plan values.
#pragma once

#include <dnnl.hpp>
#include <string>

#include "mobileone/plan/value.hpp"

namespace mobileone::onednn {

dnnl::engine& cpu_engine();
// A stream of the calling thread: cheap, and never shared.
dnnl::stream& thread_stream();

// Channels per block of the native blocked layout: 16 with AVX-512, 8 below.
int channel_block();
// The layout in which oneDNN's convolutions are fastest for this many channels: nChw16c in whole
// blocks, else nhwc. (`any` picks nhwc always, which is slower here for depthwise.)
Layout preferred_layout(const Shape& shape);

dnnl::memory::desc desc_of(const Shape& shape, const Layout& layout);
dnnl::memory::desc desc_of(const Value& value);
// A dense row-major descriptor, e.g. of a weight as PyTorch stores it.
dnnl::memory::desc plain_desc(const Shape& shape);

// Names a descriptor in the weight cache.
std::string key_of(const dnnl::memory::desc& desc);

// Strict fp32 arithmetic whatever ONEDNN_DEFAULT_FPMATH_MODE says, and scratchpads owned by us:
// the default ones crash when a primitive runs on another thread than the one that made it.
dnnl::primitive_attr strict_attributes();

// "onednn jit:avx512_core"; whether it is a slow fallback; whether it is a product of matrices.
std::string implementation_name(const dnnl::primitive_desc_base& desc);
bool is_reference(const dnnl::primitive_desc_base& desc);
bool is_gemm(const dnnl::primitive_desc_base& desc);

// "3.2.0 (git hash ...), GNU OpenMP" for reports.
std::string version();

}  // namespace mobileone::onednn
