#pragma once

#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

namespace lockstep {

// Pieces that lie one behind the other, of so many bytes each; piece r is rank r's. Keeps neither of its
// arguments alive.
template <class Byte>
class Pieces {
 public:
  Pieces(std::span<Byte> all, const std::vector<std::size_t>& sizes)
      : all_(all), sizes_(sizes), offsets_(sizes.size()) {
    std::exclusive_scan(sizes.begin(), sizes.end(), offsets_.begin(), std::size_t{0});
  }
  std::span<Byte> operator[](int rank) const {
    const auto index = static_cast<std::size_t>(rank);
    return all_.subspan(offsets_[index], sizes_[index]);
  }

 private:
  std::span<Byte> all_;
  const std::vector<std::size_t>& sizes_;
  std::vector<std::size_t> offsets_;
};

}  // namespace lockstep
