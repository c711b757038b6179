// The calling thread's OpenMP team, which oneDNN's primitives run on.
#pragma once

#include <omp.h>

namespace mobileone::onednn {

// Sets the team's size, and restores it: other users of OpenMP keep theirs.
class TeamScope {
 public:
  explicit TeamScope(int threads) : previous_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~TeamScope() { omp_set_num_threads(previous_); }
  TeamScope(const TeamScope&) = delete;
  TeamScope& operator=(const TeamScope&) = delete;

 private:
  int previous_;
};

}  // namespace mobileone::onednn
