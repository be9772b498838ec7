#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "layers/tensor/buffer.h"
#include "trainer/loop/inference.h"

namespace lockstep {

struct Guess {
  std::int64_t label = 0;
  double probability = 0;
};

// A trained network that says what is in images, its batch norms folded.
class Classifier {
 public:
  Classifier(Trained& trained, std::size_t entry);

  // Of each image the `top` likeliest classes, likeliest first (of equals, the lower label). pixels: image
  // after image, height × width × channels, 0 … 255. Tens are faster than one by one.
  std::vector<std::vector<Guess>> classify(std::span<const std::uint8_t> pixels, std::size_t top);

 private:
  // Normalizes images and adds what the network sees in them to `guesses`.
  void classify_some(std::span<const std::uint8_t> pixels, std::size_t top,
                     std::vector<std::vector<Guess>>& guesses);

  Transform transform_;
  Model model_;
  Buffer input_;
};

}  // namespace lockstep
