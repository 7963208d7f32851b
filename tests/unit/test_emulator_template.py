import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatesocket.emulator.template import Template, load
from gatesocket.exceptions import ConfigurationError

Writer = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    (tmp_path / "handlers").mkdir()

    def write(text: str) -> Path:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path: Path, **parameters: str) -> Template:
    return load(path, region="eu-west-1", parameters=parameters)


SERVERLESS = "Transform: AWS::Serverless-2016-10-31\n"
BARE_ROUTE = f"""{SERVERLESS}
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: x
      Routes: {{$default: 7}}
"""
QUEUE = "Resources:\n  Queue: {Type: AWS::SQS::Queue}\n"
SAM = """
Transform: AWS::Serverless-2016-10-31
Metadata:
  Gatesocket:
    App: chat.app:app
    Example: /ws/lobby?name=you
Parameters:
  Stage: {Type: String, Default: prod}
Globals:
  Function:
    CodeUri: handlers/
    Runtime: python3.13
Resources:
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      StageName: !Ref Stage
      RouteSelectionExpression: $request.body.action
      Routes:
        $default: {FunctionArn: !GetAtt Function.Arn}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      CodeUri: .
"""


def test_a_sam_template_is_translated_to_cloudformation(write: Writer) -> None:
    template = read(write(SAM))
    types = {resource["Type"] for resource in template.body["Resources"].values()}
    assert {"AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Route", "AWS::Lambda::Function"} <= types
    assert not any(kind.startswith("AWS::Serverless::") for kind in types)


def test_directories_of_code_are_kept(write: Writer, tmp_path: Path) -> None:
    assert read(write(SAM)).code == {"Function": tmp_path / "handlers", "Other": tmp_path}


def test_the_template_names_its_app(write: Writer) -> None:
    assert (read(write(SAM)).app, read(write(SAM)).example) == ("chat.app:app", "/ws/lobby?name=you")
    assert (read(write(QUEUE)).app, read(write(QUEUE)).example) == (None, None)


def test_parameters_are_the_given_ones_and_the_defaults(write: Writer) -> None:
    assert read(write(SAM)).parameters == {"Stage": "prod"}
    assert read(write(SAM), Stage="dev").parameters == {"Stage": "dev"}


def test_a_resource_is_found_by_its_line(write: Writer) -> None:
    path = write(SAM)
    template = read(path)
    assert template.where("Function") == f"{path}:{SAM.splitlines().index('  Function:', 12) + 1}"
    assert template.where("ApiDefaultRoute") == str(path)


def test_json_is_read_too(write: Writer, tmp_path: Path) -> None:
    resource = {"Type": "AWS::Lambda::Function", "Properties": {"Code": "handlers", "Handler": "a.b"}}
    assert read(write(json.dumps({"Resources": {"F": resource}}))).code == {"F": tmp_path / "handlers"}


def test_a_plain_cloudformation_template_stays_as_it_is(write: Writer) -> None:
    text = "Resources:\n  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${AWS::StackName}-q'}}\n"
    expected = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Fn::Sub": "${AWS::StackName}-q"}}}
    assert read(write(text)).body["Resources"]["Queue"] == expected


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!GetAtt A.Arn", {"Fn::GetAtt": ["A", "Arn"]}),
        ("!GetAtt A.Outputs.Url", {"Fn::GetAtt": ["A", "Outputs.Url"]}),
        ("!Join [',', [a, !Ref A]]", {"Fn::Join": [",", ["a", {"Ref": "A"}]]}),
        ("!If [C, 1, 2]", {"Fn::If": ["C", 1, 2]}),
        ("!Transform {Name: x}", {"Fn::Transform": {"Name": "x"}}),
        ("!Condition C", {"Condition": "C"}),
        ("2012-10-17", "2012-10-17"),
    ],
)
def test_short_forms_are_long_forms(write: Writer, short: str, long: Any) -> None:
    text = f"Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n    Properties:\n      QueueName: {short}\n"
    assert read(write(text)).body["Resources"]["Queue"]["Properties"]["QueueName"] == long


@pytest.mark.parametrize(
    "function",
    ["InlineCode: x", "PackageType: Image\n      ImageUri: i", "CodeUri: s3://bucket/key"],
)
def test_code_that_is_no_directory_is_not_taken_for_one(write: Writer, function: str) -> None:
    text = f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties:
      {function}
"""
    if "Image" not in function:
        text += "      Runtime: python3.13\n      Handler: app.handler\n"
    assert read(write(text)).code == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources:\n  A: [\n", "template.yaml:3: the template isn't YAML: "),
        ("Resources:\n  A: {x: y: z}\n", "template.yaml:2: the template isn't YAML: expected ',' or '}'"),
        ("[]", "template.yaml: not a template: expected a mapping with `Resources`"),
        ("", "template.yaml: not a template: expected a mapping with `Resources`"),
        ("Resources: 7", "template.yaml: not a template: expected a mapping with `Resources`"),
        (
            "Parameters:\n  Stage: {Type: String}\nResources: {}\n",
            "template.yaml: parameter 'Stage' has no default: give it with --parameter Stage=…",
        ),
        (
            f"{SERVERLESS}Resources:\n  A:\n    Type: AWS::Serverless::Function\n    Properties: {{Runtime: 7}}\n",
            "template.yaml:3: Resource with id [A] is invalid.",
        ),
        (f"{SERVERLESS}Globals: {{Nonsense: {{}}}}\n{QUEUE}", "template.yaml: 'Globals' section is invalid."),
        (f"{SERVERLESS}Globals: 7\n{QUEUE}", "template.yaml: "),
        (BARE_ROUTE, "template.yaml: the template can't be translated: "),
        (f"{SERVERLESS}{QUEUE}  B: 7\n", "template.yaml: "),
        (f"{SERVERLESS}Resources:\n  A: {{Type: AWS::Serverless::Function, Properties: []}}\n", "template.yaml:"),
    ],
)
def test_a_broken_template_is_named_with_its_line(write: Writer, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read(write(text))
    assert message in str(raised.value)


def test_an_unknown_parameter_is_refused(write: Writer) -> None:
    with pytest.raises(ConfigurationError, match="there is no parameter 'Stge'; the template has Stage"):
        read(write(SAM), Stge="dev")


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.yaml: the template can't be read: .* Name another"):
        read(tmp_path / "missing.yaml")


def test_a_template_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="can't be read"):
        read(path)
