#include "trainer/loop/classify.h"

#include <gtest/gtest.h>

#include "layers/ops/threads.h"
#include "layers/tensor/random.h"
#include "trainer/config/config.h"
#include "trainer/loop/setup.h"

namespace lockstep {
namespace {

constexpr std::size_t images = 150;  // more than are computed at once
constexpr std::size_t elements = 12 * 12;
constexpr std::size_t classes = 4;

Trained untrained() {
  Facts facts;
  facts.input = {{12, 12, 1}, classes};
  facts.normalization = {{0.5}, {0.25}};
  Config config = parse_config("model: {name: cnn}", "cnn.yaml", {});
  Model model(model_options(config, facts.input), 1, 0);
  model.initialize();
  return {std::move(config), std::move(facts), std::move(model)};
}

std::vector<std::uint8_t> random_pixels() {
  const Random random(5, "pixels");
  std::vector<std::uint8_t> pixels;
  pixels.reserve(images * elements);
  for (std::size_t i = 0; i < images * elements; ++i) {
    pixels.push_back(static_cast<std::uint8_t>(random.below(256, i, 0)));
  }
  return pixels;
}

class ClassifierTest : public testing::Test {
 protected:
  ClassifierTest() {
    prepare_compute_thread();
    Trained trained = untrained();
    classifier_.emplace(trained, 0);
  }

  std::optional<Classifier> classifier_;
  std::vector<std::uint8_t> pixels_ = random_pixels();
};

TEST_F(ClassifierTest, SeesInManyImagesWhatItSeesInEach) {
  const auto together = classifier_->classify(pixels_, classes);
  ASSERT_EQ(together.size(), images);
  for (std::size_t i = 0; i < images; ++i) {
    const auto alone = classifier_->classify(std::span(pixels_).subspan(i * elements, elements), classes);
    ASSERT_EQ(alone.size(), 1U);
    ASSERT_EQ(alone[0].size(), classes);
    for (std::size_t place = 0; place < classes; ++place) {
      EXPECT_EQ(alone[0][place].label, together[i][place].label) << i;
      EXPECT_NEAR(alone[0][place].probability, together[i][place].probability, 1e-5) << i;
    }
  }
}

TEST_F(ClassifierTest, TellsTheLikeliestFirst) {
  for (const auto& guesses : classifier_->classify(pixels_, 2)) {
    ASSERT_EQ(guesses.size(), 2U);
    EXPECT_GE(guesses[0].probability, guesses[1].probability);
  }
  EXPECT_TRUE(classifier_->classify({}, 2).empty());
}

}  // namespace
}  // namespace lockstep
