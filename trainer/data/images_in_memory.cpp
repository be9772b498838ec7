#include "trainer/data/images_in_memory.h"

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

class ImagesInMemory : public Dataset {
 public:
  ImagesInMemory(ImageArray images, std::vector<std::uint8_t> labels, std::int64_t classes)
      : images_(std::move(images)), labels_(std::move(labels)), classes_(classes) {}

  std::int64_t size() const override { return images_.count; }
  SampleShape shape() const override { return images_.shape; }
  std::int64_t classes() const override { return classes_; }
  std::int32_t get(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    check_get(index, pixels);
    const auto first = images_.pixels.begin() + index * images_.shape.elements();
    std::copy_n(first, pixels.size(), pixels.begin());
    return labels_.empty() ? -1 : std::int32_t{labels_[static_cast<std::size_t>(index)]};
  }

 private:
  ImageArray images_;
  std::vector<std::uint8_t> labels_;
  std::int64_t classes_;
};

}  // namespace

std::shared_ptr<const Dataset> make_images_in_memory(ImageArray images, std::vector<std::uint8_t> labels,
                                                     std::int64_t classes) {
  return std::make_shared<ImagesInMemory>(std::move(images), std::move(labels), classes);
}

}  // namespace lockstep
