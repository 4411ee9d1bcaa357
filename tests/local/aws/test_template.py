from pathlib import Path

import pytest

from aws.template import load_template

RESOURCE = """
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Sub "${AWS::StackName}-calls"
      Kms: !Ref Key
      Arn: !GetAtt Key.Arn
      Name: !Join ["-", [calls, !Ref Stage]]
      Ttl: !If [IsKept, {Enabled: true}, !Ref AWS::NoValue]
"""


def test_intrinsic_functions_keep_their_long_form(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(RESOURCE)
    assert load_template(path).properties("Table") == {
        "TableName": {"Fn::Sub": "${AWS::StackName}-calls"},
        "Kms": {"Ref": "Key"},
        "Arn": {"Fn::GetAtt": "Key.Arn"},
        "Name": {"Fn::Join": ["-", ["calls", {"Ref": "Stage"}]]},
        "Ttl": {"Fn::If": ["IsKept", {"Enabled": True}, {"Ref": "AWS::NoValue"}]},
    }


def test_a_resource_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="NoSuchTable"):
        load_template().properties("NoSuchTable")
