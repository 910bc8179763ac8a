"""Questions that agents ask, and their answers. Methods of ApprovalService."""

from kagectl.client.methods import Unary
from kaged.api.v1 import approval_service_pb2 as pb

LIST_APPROVALS = Unary("ApprovalService/ListApprovals", pb.ListApprovalsRequest, pb.ListApprovalsResponse)
GET_APPROVAL = Unary("ApprovalService/GetApproval", pb.GetApprovalRequest, pb.GetApprovalResponse)
LIST_APPROVAL_RULES = Unary(
    "ApprovalService/ListApprovalRules", pb.ListApprovalRulesRequest, pb.ListApprovalRulesResponse
)
REMOVE_APPROVAL_RULE = Unary(
    "ApprovalService/RemoveApprovalRule", pb.RemoveApprovalRuleRequest, pb.RemoveApprovalRuleResponse
)
ANSWER_APPROVAL = Unary("ApprovalService/AnswerApproval", pb.AnswerApprovalRequest, pb.AnswerApprovalResponse)
