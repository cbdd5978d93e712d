// SPDX-License-Identifier: BSL-1.0

// temper_pictures: draws a picture of each technique on the pages on mixing, noisy labels and
// semi-supervised learning, from values that the library computes.
//
//   temper_pictures --out docs/images       draws them
//   temper_pictures --check docs/images     fails where a file is not what would be drawn

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <CLI/CLI.hpp>

#include "pictures/pictures.hpp"

#ifndef TEMPER_DEMO_DATA
#define TEMPER_DEMO_DATA "examples/data"
#endif

namespace {

int run(int argc, char** argv)
{
    std::string out, check;
    std::string data = TEMPER_DEMO_DATA;
    CLI::App app{"What each technique does, as pictures"};
    auto* draw = app.add_option("--out", out, "write SVG files into this folder");
    app.add_option("--check", check, "compare with the SVG files of this folder")->excludes(draw);
    app.add_option("--data", data, "folder of digits.csv")->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    pictures::Album album;
    const support::LabelledData digits = support::load_digits(data);
    pictures::mixing(digits, album);
    pictures::label_noise(album);
    pictures::sample_weights(digits, album);
    pictures::semi_supervised(digits, album);

    int wrong = 0;
    for (const auto& [name, picture] : album) {
        if (!out.empty()) {
            std::filesystem::create_directories(out);
            support::write_svg(std::filesystem::path(out) / (name + ".svg"), picture);
        }
        if (check.empty())
            continue;
        const std::filesystem::path path = std::filesystem::path(check) / (name + ".svg");
        std::ifstream file(path);
        const std::string stored{std::istreambuf_iterator<char>(file), {}};
        if (stored != support::standalone(picture)) {
            std::printf("%s is not what would be drawn\n", path.string().c_str());
            ++wrong;
        }
    }
    std::printf("%zu pictures, %d differ\n", album.size(), wrong);
    return wrong == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    }
    catch (const std::exception& error) {
        std::fprintf(stderr, "temper_pictures: %s\n", error.what());
        return 1;
    }
}
