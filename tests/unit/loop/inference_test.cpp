#include "trainer/loop/inference.h"

#include <gmock/gmock.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <vector>

#include "comm/base/error.h"
#include "tests/unit/checkpoint/temporary_folder.h"
#include "trainer/config/config.h"
#include "trainer/loop/setup.h"

namespace lockstep {
namespace {

using testing::AllOf;
using testing::HasSubstr;

Config tiny() {
  return parse_config("model: {name: mlp, hidden: [3]}", "tiny.yaml", {});
}

Facts tiny_facts() {
  Facts facts;
  facts.input = {{2, 2, 1}, 2};
  facts.normalization = {{0.5}, {0.25}};
  facts.class_names = {"cat", "dog"};
  facts.train_digest = "0123456789abcdef";
  return facts;
}

// While one is alive, this process gets little more memory.
class LittleMemory {
 public:
  LittleMemory() {
    std::int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    constexpr std::int64_t more = 256 << 20;
    const rlimit little{static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE) + more), before_.rlim_max};
    ::setrlimit(RLIMIT_AS, &little);
  }
  ~LittleMemory() { ::setrlimit(RLIMIT_AS, &before_); }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;

 private:
  rlimit before_{};
};

// A file of the tiny model, unless told otherwise, whose metadata tell what they like.
class OpenTrained : public testing::Test {
 protected:
  void write(const Metadata& metadata, const Config& config = tiny()) {
    Model model(model_options(config, tiny_facts().input), 1, 0);
    save_tensors(folder_ / "a", model.state(), metadata);
  }
  std::string refusal() const {
    try {
      open_trained(folder_ / "a", {});
    } catch (const DataError& error) {
      return error.what();
    }
    return "nothing";
  }

  TemporaryFolder folder_;
};

TEST_F(OpenTrained, OpensWhatWasSaved) {
  write(describe(tiny(), tiny_facts()));
  EXPECT_EQ(open_trained(folder_ / "a", {}).facts.class_names, tiny_facts().class_names);
}

TEST_F(OpenTrained, RefusesATextThatIsNoConfiguration) {
  Metadata metadata = describe(tiny(), tiny_facts());
  metadata["config"] = "{model: {name: \x1b[2J}}";
  write(metadata);
  EXPECT_THAT(refusal(), AllOf(HasSubstr((folder_ / "a").string()), HasSubstr("configuration")));
  EXPECT_THAT(refusal(), testing::Not(HasSubstr("\x1b")));
}

// Metadata of some hundred bytes that describe a model of terabytes.
TEST_F(OpenTrained, AsksForNoMemoryThatTheFileDoesNotFill) {
  for (const char* model : {"{name: mlp, hidden: [1000000, 1000000]}",
                            "{layers: [flatten, {linear: {out: 1000000}}, batch_norm, {linear: {out: 2}}]}",
                            "{layers: [{conv2d: {out: 1000000, padding: 1}}, batch_norm, global_avg_pool, "
                            "{linear: {out: 2}}]}"}) {
    write(describe(parse_config(std::string("model: ") + model, "huge.yaml", {}), tiny_facts()));
    EXPECT_THAT(refusal(), HasSubstr("the model of its metadata has tensors of")) << model;
  }
}

// What training keeps of each shard, of which there may be many, has no tensors.
TEST_F(OpenTrained, AsksForNoMemoryOfShards) {
  const Config config = parse_config(
      "{model: {layers: [flatten, {linear: {out: 4096}}, batch_norm, {linear: {out: 2}}]}, "
      "batch: {global: 16384, shards: 4}, normalization: {sync: local}}",
      "shards.yaml", {});
  Config of_many = config;
  of_many.batch.shards = 4096;
  write(describe(of_many, tiny_facts()), config);

  const LittleMemory little;
  Trained trained = open_trained(folder_ / "a", {});
  EXPECT_EQ(trained.config.batch.shards, 4096);
  const std::vector<float> image(4);
  std::vector<float> logits(2);
  trained.model.predict({.images = image.data(), .labels = {}, .samples = 1}, 0, logits);
}

TEST_F(OpenTrained, RefusesAModelThatDoesNotFitItsInput) {
  write(describe(parse_config("model: {name: cnn}", "cnn.yaml", {}), tiny_facts()));
  EXPECT_THAT(refusal(), HasSubstr("the model of its metadata"));
  write(describe(parse_config("model: {layers: [{conv2d: {out: 1000000, kernel: 1000000, padding: 1000000}}, "
                              "flatten, {linear: {out: 2}}]}",
                              "overflow.yaml", {}),
                 tiny_facts()));
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr((folder_ / "a").string()), HasSubstr("cannot be made: layer 'conv1'")));
}

}  // namespace
}  // namespace lockstep
