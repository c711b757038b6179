#include "mobileone/plan/mapped_weights.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "mobileone/base/checksum.hpp"
#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

constexpr std::size_t kAlignment = 64;

[[noreturn]] void fail(const std::string& path) {
  throw Error(concat("[plan] ", path, " cannot be mapped: ", std::strerror(errno)));
}

}  // namespace

// An open file, and what it was like as it was opened.
struct MappedFile {
  explicit MappedFile(const std::string& path)
      : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor < 0) fail(path);
    if (fstat(descriptor, &status) != 0) {
      close(descriptor);
      fail(path);
    }
  }
  ~MappedFile() { close(descriptor); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  int descriptor;
  struct stat status = {};
};

namespace {

std::shared_ptr<const std::byte> map(const std::string& path, const MappedFile& file) {
  const auto size = static_cast<std::size_t>(file.status.st_size);
  if (size == 0) throw Error(concat("[plan] ", path, " is empty"));
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor, 0);
  if (data == MAP_FAILED) fail(path);
  return {static_cast<const std::byte*>(data),
          [size](const std::byte* p) { munmap(const_cast<std::byte*>(p), size); }};
}

}  // namespace

MappedWeights::MappedWeights(const std::string& path, std::map<std::string, Entry> entries)
    : path_(path),
      entries_(std::move(entries)),
      file_(std::make_shared<const MappedFile>(path)),
      size_(static_cast<std::size_t>(file_->status.st_size)),
      data_(map(path, *file_)) {
  for (const auto& [key, entry] : entries_) {
    if (entry.offset % kAlignment != 0 || entry.offset > size_ ||
        entry.bytes > size_ - entry.offset) {
      throw Error(concat("[plan] ", path, ": ", key, " takes ", entry.bytes, " bytes at ",
                         entry.offset, "; expected a multiple of ", kAlignment,
                         " inside the file of ", size_, " bytes"));
    }
  }
  verify();
}

void MappedWeights::verify() const {
  for (const auto& [key, entry] : entries_) {
    const std::byte* const first = data_.get() + entry.offset;
    const std::uint32_t found = checksum(first, entry.bytes);
    if (found != entry.checksum) {
      throw Error(concat("[plan] ", path_, ": is damaged: its weights ", key, " have checksum ",
                         found, "; expected ", entry.checksum));
    }
    const std::size_t room = (entry.bytes + kAlignment - 1) / kAlignment * kAlignment;
    const std::size_t end = std::min(room, size_ - entry.offset);
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    if (!std::all_of(first + entry.bytes, first + end, is_zero)) {
      throw Error(
          concat("[plan] ", path_, ": is damaged: what follows its weights ", key, " is not zero"));
    }
  }
}

void MappedWeights::check_unwritten() const {
  struct stat now = {};
  if (fstat(file_->descriptor, &now) != 0) fail(path_);
  const struct stat& then = file_->status;
  const bool same = now.st_size == then.st_size && now.st_mtim.tv_sec == then.st_mtim.tv_sec &&
                    now.st_mtim.tv_nsec == then.st_mtim.tv_nsec;
  if (!same) {
    throw Error(concat("[plan] ", path_,
                       ": was written to while in use; expected a file that is "
                       "left alone, or replaced whole. Load it again"));
  }
}

std::shared_ptr<const void> MappedWeights::get(const std::string& key, std::size_t bytes) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) {
    throw Error(concat("[plan] ", path_, ": no weights ", key, "; expected ", bytes, " bytes"));
  }
  if (found->second.bytes != bytes) {
    throw Error(concat("[plan] ", path_, ": ", key, " takes ", found->second.bytes,
                       " bytes; expected ", bytes));
  }
  return {data_, data_.get() + found->second.offset};
}

std::size_t MappedWeights::bytes() const {
  std::size_t total = 0;
  for (const auto& [key, entry] : entries_) total += entry.bytes;
  return total;
}

}  // namespace mobileone
