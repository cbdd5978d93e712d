import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, get, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class TemperConan(ConanFile):
    name = "temper"
    description = "Regularization and training techniques for C++"
    license = "BSL-1.0"
    url = "https://github.com/conan-io/conan-center-index"
    homepage = "https://temper.example"
    topics = ("machine-learning", "regularization", "loss-functions", "optimization", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    no_copy_source = True

    @property
    def _checkout(self):
        return os.path.normpath(os.path.join(self.recipe_folder, "..", ".."))

    def set_version(self):
        if not self.version:
            config = load(self, os.path.join(self._checkout, "include", "temper", "core", "config.hpp"))
            self.version = ".".join(re.findall(r"(?m)^#define TEMPER_VERSION_[A-Z]+ (\d+)", config))

    def export_sources(self):
        # In temper's own tree the recipe packages that tree; a registry's conandata.yml names a release.
        if not self.conan_data:
            sources = os.path.join(self.export_sources_folder, "src")
            copy(self, "LICENSE", self._checkout, sources)
            copy(self, "include/temper/*.hpp", self._checkout, sources)

    def layout(self):
        basic_layout(self, src_folder="src")

    def requirements(self):
        self.requires("eigen/3.4.0", transitive_headers=True)
        self.requires("xsimd/13.0.0", transitive_headers=True)

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)

    def source(self):
        if self.conan_data:
            get(self, **self.conan_data["sources"][self.version], strip_root=True)

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        copy(
            self,
            "*.hpp",
            os.path.join(self.source_folder, "include"),
            os.path.join(self.package_folder, "include"),
        )

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "temper")
        self.cpp_info.set_property("cmake_target_name", "temper::temper")
        self.cpp_info.set_property("pkg_config_name", "temper")
