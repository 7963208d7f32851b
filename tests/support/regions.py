"""Which AWS regions have which types of resources, by CloudFormation's own schemas, which cfn-lint has."""

from collections.abc import Iterable

from cfnlint.helpers import REGIONS  # type: ignore[import-untyped]
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER  # type: ignore[import-untyped]

__all__ = ["lacking"]


def lacking(types: Iterable[str]) -> set[str]:
    """Return the regions that don't have all of *types*."""
    wanted = set(types)
    return {region for region in REGIONS if wanted - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))}
