#include "mobileone/backends/onednn/memory.hpp"

#include <cstdlib>
#include <string_view>

#include "mobileone/base/error.hpp"

namespace mobileone::onednn {

namespace {

using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;
constexpr auto kFloat = dnnl::memory::data_type::f32;

// MOBILEONE_MAX_ISA holds oneDNN to the same instruction set as our own kernels. oneDNN takes the
// limit once, before its first use.
dnnl::engine make_engine() {
  const char* limit = std::getenv("MOBILEONE_MAX_ISA");
  if (limit != nullptr && std::string_view(limit) == "avx2") {
    dnnl::set_max_cpu_isa(dnnl::cpu_isa::avx2);
  }
  return {dnnl::engine::kind::cpu, 0};
}

}  // namespace

dnnl::engine& cpu_engine() {
  static dnnl::engine engine = make_engine();
  return engine;
}

dnnl::stream& thread_stream() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

int channel_block() {
  static const int block = [] {
    cpu_engine();
    switch (dnnl::get_effective_cpu_isa()) {
      case dnnl::cpu_isa::sse41:
      case dnnl::cpu_isa::avx:
      case dnnl::cpu_isa::avx2:
      case dnnl::cpu_isa::avx2_vnni:
      case dnnl::cpu_isa::avx2_vnni_2:
        return 8;
      default:
        return 16;
    }
  }();
  return block;
}

Layout preferred_layout(const Shape& shape) {
  if (shape.size() != 4) return Layout::nchw();
  const bool one_pixel = shape[2] == 1 && shape[3] == 1;
  return one_pixel || shape[1] % channel_block() != 0 ? Layout::nhwc()
                                                      : Layout::blocked(channel_block());
}

Desc desc_of(const Shape& shape, const Layout& layout) {
  if (shape.size() != 4) return plain_desc(shape);
  switch (layout.kind) {
    case Layout::Kind::nchw:
      return {shape, kFloat, Tag::nchw};
    case Layout::Kind::nhwc:
      return {shape, kFloat, Tag::nhwc};
    case Layout::Kind::blocked:
      break;
  }
  const Tag tag = layout.block == 16 ? Tag::nChw16c : Tag::nChw8c;
  if (layout.border == 0) return {shape, kFloat, tag};
  const std::int64_t border = layout.border;
  const Shape padded{shape[0], shape[1], shape[2] + 2 * border, shape[3] + 2 * border};
  return Desc(padded, kFloat, tag).submemory_desc(shape, {0, 0, border, border});
}

Desc desc_of(const Value& value) { return desc_of(value.shape, value.layout); }

Desc plain_desc(const Shape& shape) {
  static constexpr Tag kTags[] = {Tag::a, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  return {shape.empty() ? Shape{1} : shape, kFloat, kTags[shape.size()]};
}

std::string key_of(const Desc& desc) {
  std::string key = to_string(desc.get_dims());
  if (desc.get_format_kind() != dnnl::memory::format_kind::blocked) {
    return concat(key, " opaque ", desc.get_size());
  }
  return concat(key, to_string(desc.get_strides()), to_string(desc.get_inner_blks()),
                to_string(desc.get_inner_idxs()));
}

dnnl::primitive_attr strict_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return attributes;
}

std::string implementation_name(const dnnl::primitive_desc_base& desc) {
  return concat("onednn ", desc.impl_info_str());
}

bool is_reference(const dnnl::primitive_desc_base& desc) {
  return std::string_view(desc.impl_info_str()).find("ref") != std::string_view::npos;
}

bool is_gemm(const dnnl::primitive_desc_base& desc) {
  return std::string_view(desc.impl_info_str()).find("gemm") != std::string_view::npos;
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return concat(v->major, ".", v->minor, ".", v->patch, " (", v->hash, ")");
}

}  // namespace mobileone::onednn
