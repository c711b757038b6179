// Packed weights in a file, mapped and used in place: what a stored plan runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace mobileone {

struct MappedFile;

class MappedWeights {
 public:
  // Bytes of the file.
  struct Entry {
    std::size_t offset = 0;
    std::size_t bytes = 0;
    std::uint32_t checksum = 0;  // of base/checksum.hpp
  };

  // Maps the file read-only and verifies it. Throws Error unless every entry lies inside the file,
  // at a multiple of 64. The file may be replaced afterwards, but not be written to or truncated:
  // see check_unwritten.
  MappedWeights(const std::string& path, std::map<std::string, Entry> entries);

  // Throws Error naming the first entry whose bytes have another checksum, or are followed by
  // anything but zeros up to the next multiple of 64.
  void verify() const;

  // Throws Error when the file has been written to or truncated since: before each use, for what a
  // look at its times costs. What happens during a use is not seen.
  void check_unwritten() const;

  // The weights filed under `key`, alive as long as the result. Throws Error when there are none
  // or when their size is another one.
  std::shared_ptr<const void> get(const std::string& key, std::size_t bytes) const;
  // Bytes of all entries.
  std::size_t bytes() const;

 private:
  std::string path_;
  std::map<std::string, Entry> entries_;
  std::shared_ptr<const MappedFile> file_;
  std::size_t size_ = 0;
  std::shared_ptr<const std::byte> data_;
};

}  // namespace mobileone
