// oneDNN behind one object: it and OpenMP take 20 MB and 10 ms to load, and the fused path needs
// neither. The extension loads them with the first step that does; see engine.cpp.
#pragma once

#include <string>

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

class Library {
 public:
  virtual ~Library() = default;
  // The backend of the operators that oneDNN has a primitive for.
  virtual const Backend& backend() const = 0;
  // "3.2.0 (git hash ...)" of the oneDNN in use.
  virtual std::string version() const = 0;
  // Channels per block of its native blocked layout: 16 with AVX-512, 8 below.
  virtual int channel_block() const = 0;
};

// The library as linked into this binary.
const Library& implementation();

// The library, wherever it comes from. Defined by the program: linked.cpp returns
// implementation(), the Python extension loads a shared object. Throws StateError when it cannot
// be had.
const Library& library();

}  // namespace mobileone::onednn
