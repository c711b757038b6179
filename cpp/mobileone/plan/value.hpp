// Value: one tensor of a plan, with its memory layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "mobileone/base/tensor.hpp"

namespace mobileone {

// How [N, C, H, W] lies in memory. `blocked` is nChw{block}c, C rounded up to whole blocks whose
// padding channels hold zeros; `border` adds that many zero pixels around every channel block,
// written by whoever writes the value, because values share memory. `bytes`: integers 0 to 255, a
// byte each; the border then holds `border_value`, padding channels hold anything, and kernels may
// read a little beyond the end.
struct Layout {
  enum class Kind { nchw, nhwc, blocked };
  Kind kind = Kind::nchw;
  int block = 1;
  int border = 0;
  bool bytes = false;
  int border_value = 0;

  bool operator==(const Layout&) const = default;
  static Layout nchw() { return {}; }
  static Layout nhwc() { return {Kind::nhwc, 1, 0}; }
  static Layout blocked(int block, int border = 0) { return {Kind::blocked, block, border}; }
  static Layout byte_map(int block, int border_value) {
    return {Kind::blocked, block, 1, true, border_value};
  }
};

std::string to_string(const Layout& layout);

// Bytes after a byte map that kernels may read.
inline constexpr std::size_t kByteSlack = 256;

using ValueId = int;

// Where a value lives: in the plan's arena, or in the caller's memory. A parameter is a weight that
// the caller hands over with every run.
enum class Storage { arena, input, targets, output, parameter };

struct Value {
  Shape shape;
  Layout layout;
  DType dtype = DType::float32;
  Storage storage = Storage::arena;
  std::size_t slot = 0;    // index of the caller's pointer (output and parameter storage)
  std::size_t offset = 0;  // bytes into the arena
  // The memory's border is zero already when the value is written: see keep_borders.
  bool border_kept = false;

  std::size_t bytes() const;
};

}  // namespace mobileone
